package shard

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Labels is one row of train.csv. 1 is fractured, 0 is not, nil is unknown.
type Labels struct {
	Patient *int
	Levels  [7]*int // C1 to C7
}

// labelColumns are the columns of train.csv that are read, in this order; further ones are passed over.
var labelColumns = []string{"StudyInstanceUID", "patient_overall", "C1", "C2", "C3", "C4", "C5", "C6", "C7"}

// ReadLabels reads train.csv: labels by StudyInstanceUID. A byte order mark, CRLF and another order of
// columns are all right. An empty field is an unknown label; anything but 0 and 1 is an error that names
// the line, as are a missing column and a study given twice.
func ReadLabels(r io.Reader) (map[string]Labels, error) {
	b := bufio.NewReader(r)
	const mark = "\uFEFF"
	if head, _ := b.Peek(len(mark)); string(head) == mark {
		if _, err := b.Discard(len(mark)); err != nil {
			return nil, fmt.Errorf("shard: labels: %w", err)
		}
	}
	c := csv.NewReader(b)
	c.ReuseRecord = true
	head, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("shard: labels: the header %s: %w", strings.Join(labelColumns, ","), err)
	}
	var place [9]int
	for i, name := range labelColumns {
		if place[i] = slices.Index(head, name); place[i] < 0 {
			return nil, fmt.Errorf("shard: labels: line 1: no column %s; the header must name %s", name, strings.Join(labelColumns, ","))
		}
	}
	all := map[string]Labels{}
	for {
		record, err := c.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("shard: labels: %w", err) // names the line
		}
		line, _ := c.FieldPos(0)
		uid := strings.Clone(strings.TrimSpace(record[place[0]]))
		if uid == "" {
			return nil, fmt.Errorf("shard: labels: line %d: no StudyInstanceUID", line)
		}
		if _, twice := all[uid]; twice {
			return nil, fmt.Errorf("shard: labels: line %d: its study was given before", line)
		}
		var l Labels
		for i, to := range append([]**int{&l.Patient}, pointers(&l.Levels)...) {
			if *to, err = parseLabel(record[place[i+1]]); err != nil {
				return nil, fmt.Errorf("shard: labels: line %d: %s: %w", line, labelColumns[i+1], err)
			}
		}
		all[uid] = l
	}
}

func pointers(levels *[7]*int) []**int {
	out := make([]**int, len(levels))
	for i := range levels {
		out[i] = &levels[i]
	}
	return out
}

func parseLabel(field string) (*int, error) {
	v := 0
	switch strings.TrimSpace(field) {
	case "":
		return nil, nil
	case "0":
	case "1":
		v = 1
	default:
		return nil, errors.New("a label must be 0, 1 or empty")
	}
	return &v, nil
}
