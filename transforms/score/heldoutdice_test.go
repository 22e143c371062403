package score

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiceAreReadBack(t *testing.T) {
	want := []StudyDice{{Study: "1.2.3", Dice: [7]float64{0, 0.25, 0.5, 0.75, 1, 0.125, 0.9}, Mean: 0.50357}, {Study: "a, b", Mean: 1}}
	var table bytes.Buffer
	if err := WriteDice(&table, want); err != nil {
		t.Fatal(err)
	}
	if head, _, _ := strings.Cut(table.String(), "\n"); head != "StudyInstanceUID,C1,C2,C3,C4,C5,C6,C7,mean" {
		t.Errorf("the head is %s", head)
	}
	got, err := ReadDice(&table)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestWhatIsNoTableOfDiceIsRefused(t *testing.T) {
	const head = "StudyInstanceUID,C1,C2,C3,C4,C5,C6,C7,mean\n"
	for _, c := range []struct{ text, want string }{
		{"", "EOF"},
		{"study,C1\n", `not ["StudyInstanceUID" "C1"`},
		{head + "a,1,1,1,1,1,1,1,1\nb,1,1,1,1,1,1,1,2\n", `line 3: "2" is no dice`},
		{head + "a,1,1,NaN,1,1,1,1,1\n", `line 2: "NaN" is no dice`},
		{head + "a,1\n", "wrong number of fields"},
	} {
		if _, err := ReadDice(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
}

func TestWorstComesFirst(t *testing.T) {
	given := []StudyDice{{Study: "a", Mean: 0.9}, {Study: "b", Mean: 0.1}, {Study: "c", Mean: 0.1}}
	got := Worst(given)
	if got[0].Study != "b" || got[1].Study != "c" || got[2].Study != "a" || given[0].Study != "a" {
		t.Errorf("%v of %v", got, given)
	}
}

func FuzzReadDice(f *testing.F) {
	f.Add("StudyInstanceUID,C1,C2,C3,C4,C5,C6,C7,mean\na,1,1,1,1,0.5,1,1,1\n")
	f.Fuzz(func(t *testing.T, text string) {
		studies, err := ReadDice(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, s := range studies {
			for _, v := range append(s.Dice[:], s.Mean) {
				if !(v >= 0 && v <= 1) {
					t.Errorf("%g is read as a dice", v)
				}
			}
		}
	})
}
