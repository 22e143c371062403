package score

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/cspine/cspine/internal/volume"
)

// HeldOutDiceFile is what a segmenter's training writes of the studies that it did not learn from, beside its other records: each one's dice.
const HeldOutDiceFile = "held-out-dice.csv"

// diceHead are the columns of a table of dice.
func diceHead() []string {
	head := []string{"StudyInstanceUID"}
	for level := range volume.Levels {
		head = append(head, volume.LevelName(level))
	}
	return append(head, "mean")
}

// WriteDice writes studies' dice as a table, in their order.
func WriteDice(w io.Writer, studies []StudyDice) error {
	table := csv.NewWriter(w)
	rows := [][]string{diceHead()}
	for _, s := range studies {
		if err := checkName(s.Study); err != nil {
			return fmt.Errorf("score: dice: %w", err)
		}
		row := []string{s.Study}
		for _, v := range slices.Concat(s.Dice[:], []float64{s.Mean}) {
			row = append(row, strconv.FormatFloat(v, 'f', 5, 64))
		}
		rows = append(rows, row)
	}
	if err := table.WriteAll(rows); err != nil {
		return fmt.Errorf("score: dice: %w", err)
	}
	return nil
}

// ReadDice reads what WriteDice wrote.
func ReadDice(r io.Reader) ([]StudyDice, error) {
	table := csv.NewReader(&bounded{r, maxTable})
	head, err := table.Read()
	if err != nil {
		return nil, fmt.Errorf("score: dice: %w", err)
	}
	if !slices.Equal(head, diceHead()) {
		return nil, fmt.Errorf("score: dice: the first line is %q, not %q", head, diceHead())
	}
	var all []StudyDice
	for {
		row, err := table.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("score: dice: %w", err)
		}
		s := StudyDice{Study: row[0]}
		for i, text := range row[1:] {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || !(v >= 0 && v <= 1) {
				line, _ := table.FieldPos(i + 1)
				return nil, fmt.Errorf("score: dice: line %d: %q is no dice", line, text)
			}
			if i < volume.Levels {
				s.Dice[i] = v
			} else {
				s.Mean = v
			}
		}
		all = append(all, s)
	}
}
