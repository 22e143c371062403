package runners

import "testing"

func TestOnlyWhatARunnerStartsIsAWorker(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want bool
	}{
		"a worker":               {[]string{"--worker=true", "--id=1-1", "--logging_endpoint=localhost:1", "--control_endpoint=localhost:2"}, true},
		"a boot program":         {[]string{"--id=1-1", "--provision_endpoint=localhost:3"}, true},
		"a command":              {[]string{"prepare", "--data", "d", "--store", "s"}, false},
		"a command and a worker": {[]string{"prepare", "--runner", "flink", "--worker", "/opt/cspine/cspine"}, false},
		"the same with a sign":   {[]string{"prepare", "--runner", "flink", "--worker=/opt/cspine/cspine"}, false},
		"nothing":                {nil, false},
	} {
		if got := AsWorker(c.args); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
