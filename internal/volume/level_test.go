package volume

import "testing"

func TestALevelIsFoundByItsName(t *testing.T) {
	for level := range Levels {
		if got := LevelOf(LevelName(level)); got != level {
			t.Errorf("%s is %d, want %d", LevelName(level), got, level)
		}
	}
	for _, name := range []string{"", "C", "C0", "C8", "c1", "C1 ", "C11", "T1", "patient_overall"} {
		if got := LevelOf(name); got != -1 {
			t.Errorf("%q is %d", name, got)
		}
	}
}
