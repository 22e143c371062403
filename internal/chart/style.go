package chart

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed style.css
var rules string

// shades are what the rules name: by a variable in pages, as they are in files, since not every program that reads SVG knows variables.
var shades = []struct{ name, light, dark string }{
	{"page", "#ffffff", "#14161a"},
	{"text", "#1b1f27", "#e6e8ec"},
	{"faint", "#5a6270", "#9aa3b2"},
	{"line", "#d5d9e0", "#363b45"},
	{"accent", "#0072b2", "#56b4e9"},
	{"bad", "#b03a00", "#ff8d5c"},
}

// Style is how charts look in a page, in light and in dark: rules of CSS, and the variables --page, --text, --faint, --line, --accent and --bad, for the
// page to use too.
func Style() string {
	var light, dark strings.Builder
	for _, s := range shades {
		fmt.Fprintf(&light, " --%s: %s;", s.name, s.light)
		fmt.Fprintf(&dark, " --%s: %s;", s.name, s.dark)
	}
	return fmt.Sprintf(":root {%s }\n@media (prefers-color-scheme: dark) { :root {%s } }\n%s", &light, &dark, rules)
}

// fileStyle is how charts look in a file.
func fileStyle() string {
	const own = "svg { color: var(--text); font-family: system-ui, \"Segoe UI\", Roboto, \"Helvetica Neue\", \"DejaVu Sans\", sans-serif; }\n.page { fill: var(--page); }\n"
	var light, dark []string
	for _, s := range shades {
		light, dark = append(light, "var(--"+s.name+")", s.light), append(dark, "var(--"+s.name+")", s.dark)
	}
	return strings.NewReplacer(light...).Replace(own+rules) + "@media (prefers-color-scheme: dark) {\n" + strings.NewReplacer(dark...).Replace(own+rules) + "}\n"
}
