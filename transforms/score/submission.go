package score

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/shard"
)

// Answer is what is predicted of a study: the probability that C1 … C7 and the patient are fractured. NaN is what nothing is said of.
type Answer struct {
	Study string
	P     [classify.Targets]float64
}

// Truth is what is known of studies, by StudyInstanceUID: 1 fractured, 0 not, load.Unknown where nothing is said.
type Truth map[string][classify.Targets]int8

// The columns of a submission.
const (
	rowColumn         = "row_id"
	probabilityColumn = "fractured"
)

// maxTable is the length of the longest table that is read, in bytes: about three million rows.
const maxTable = 256 << 20

// WriteSubmission writes answers as the competition wants them: the header row_id,fractured, and for each study the rows
// <StudyInstanceUID>_C1 … _C7, _patient_overall. Probabilities are the shortest decimals that are read back as the same number; NaN
// gets no row. A number that is no probability, a study given twice and a name that no table can hold are errors.
func WriteSubmission(w io.Writer, answers []Answer) error {
	table := csv.NewWriter(w)
	if err := table.Write([]string{rowColumn, probabilityColumn}); err != nil {
		return fmt.Errorf("score: submission: %w", err)
	}
	seen := make(map[string]bool, len(answers))
	for _, a := range answers {
		if err := checkName(a.Study); err != nil {
			return fmt.Errorf("score: submission: %w", err)
		}
		if seen[a.Study] {
			return fmt.Errorf("score: submission: study %s is answered twice", a.Study)
		}
		seen[a.Study] = true
		for t, p := range a.P {
			if math.IsNaN(p) {
				continue
			}
			if !isProbability(p) {
				return fmt.Errorf("score: submission: study %s, %s: %g is no probability", a.Study, classify.TargetName(t), p)
			}
			if err := table.Write([]string{a.Study + "_" + classify.TargetName(t), strconv.FormatFloat(p, 'f', -1, 64)}); err != nil {
				return fmt.Errorf("score: submission: %w", err)
			}
		}
	}
	table.Flush()
	if err := table.Error(); err != nil {
		return fmt.Errorf("score: submission: %w", err)
	}
	return nil
}

// checkName refuses a study's name that would be read back as another.
func checkName(study string) error {
	switch {
	case study == "":
		return errors.New("a study has no name")
	case strings.TrimSpace(study) != study || strings.ContainsFunc(study, unicode.IsControl):
		return fmt.Errorf("the study's name %.80q has spaces around it or control characters in it", study)
	}
	return nil
}

func isProbability(p float64) bool { return p >= 0 && p <= 1 }

// ReadSubmission reads a submission: an answer for each study, in the order in which they first appear. Rows may stand in any order and
// may be missing, which leaves NaN. A byte order mark, CRLF, further columns and another order of columns are all right. A row that
// belongs to no target, one that is given twice, a number outside of 0 to 1 and a table of more than 256 MiB are errors that name the
// line.
func ReadSubmission(r io.Reader) ([]Answer, error) { return readSubmission(&bounded{r, maxTable}) }

func readSubmission(r *bounded) ([]Answer, error) {
	c, err := openTable(r)
	if err != nil {
		return nil, fmt.Errorf("score: submission: %w", err)
	}
	head, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("score: submission: the header %s,%s: %w", rowColumn, probabilityColumn, missing(err))
	}
	row, value := slices.Index(head, rowColumn), slices.Index(head, probabilityColumn)
	if row < 0 || value < 0 {
		return nil, fmt.Errorf("score: submission: line 1: the header must name %s and %s", rowColumn, probabilityColumn)
	}
	var answers []Answer
	places := map[string]int{}
	for {
		record, err := c.Read()
		if errors.Is(err, io.EOF) {
			return answers, nil
		}
		if err != nil {
			return nil, fmt.Errorf("score: submission: %w", err) // names the line
		}
		line, _ := c.FieldPos(0)
		study, target, err := splitRow(strings.TrimSpace(record[row]))
		if err != nil {
			return nil, fmt.Errorf("score: submission: line %d: %w", line, err)
		}
		p, err := strconv.ParseFloat(strings.TrimSpace(record[value]), 64)
		if err != nil || !isProbability(p) {
			return nil, fmt.Errorf("score: submission: line %d: %.40q is no probability: give a number from 0 to 1", line, record[value])
		}
		i, ok := places[study]
		if !ok {
			i = len(answers)
			study = strings.Clone(study)
			places[study], answers = i, append(answers, unanswered(study))
		}
		if !math.IsNaN(answers[i].P[target]) {
			return nil, fmt.Errorf("score: submission: line %d: %s of study %s was given before", line, classify.TargetName(target), study)
		}
		answers[i].P[target] = p
	}
}

// unanswered is a study of which nothing is said.
func unanswered(study string) Answer {
	a := Answer{Study: study}
	for t := range a.P {
		a.P[t] = math.NaN()
	}
	return a
}

// splitRow takes a row's name apart.
func splitRow(name string) (study string, target int, err error) {
	for t := range classify.Targets {
		if study, ok := strings.CutSuffix(name, "_"+classify.TargetName(t)); ok {
			return study, t, checkName(study)
		}
	}
	return "", 0, fmt.Errorf("the row %.80q ends in none of _C1 to _C7 and _patient_overall", name)
}

// openTable returns a reader of CSV that forgives a byte order mark.
func openTable(r *bounded) (*csv.Reader, error) {
	b := bufio.NewReader(r)
	const mark = "\uFEFF"
	if head, _ := b.Peek(len(mark)); string(head) == mark {
		if _, err := b.Discard(len(mark)); err != nil {
			return nil, err
		}
	}
	c := csv.NewReader(b)
	c.ReuseRecord = true
	return c, nil
}

// missing makes of an end of file the error of a file that ends too early.
func missing(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// bounded is a reader that fails where more than left bytes come.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the table is longer than %d MiB", maxTable>>20)
	}
	return n, err
}

// ReadTruth reads train.csv (shard.ReadLabels) of at most 256 MiB.
func ReadTruth(r io.Reader) (Truth, error) { return readTruth(&bounded{r, maxTable}) }

func readTruth(r *bounded) (Truth, error) {
	labels, err := shard.ReadLabels(r)
	if err != nil {
		return nil, fmt.Errorf("score: truth: %w", err)
	}
	truth := make(Truth, len(labels))
	for study, l := range labels {
		var known [classify.Targets]int8
		for level, label := range l.Levels {
			known[level] = load.LabelOf(label)
		}
		known[classify.PatientTarget] = load.LabelOf(l.Patient)
		truth[study] = known
	}
	return truth, nil
}

// WriteTruth writes train.csv, sorted by study. Unknown labels are empty fields.
func WriteTruth(w io.Writer, truth Truth) error {
	table := csv.NewWriter(w)
	head := []string{"StudyInstanceUID", classify.TargetName(classify.PatientTarget)}
	for level := range classify.PatientTarget {
		head = append(head, classify.TargetName(level))
	}
	if err := table.Write(head); err != nil {
		return fmt.Errorf("score: truth: %w", err)
	}
	for _, study := range slices.Sorted(maps.Keys(truth)) {
		if err := checkName(study); err != nil {
			return fmt.Errorf("score: truth: %w", err)
		}
		known := truth[study]
		row := []string{study, field(known[classify.PatientTarget])}
		for _, label := range known[:classify.PatientTarget] {
			row = append(row, field(label))
		}
		if err := table.Write(row); err != nil {
			return fmt.Errorf("score: truth: %w", err)
		}
	}
	table.Flush()
	if err := table.Error(); err != nil {
		return fmt.Errorf("score: truth: %w", err)
	}
	return nil
}

// field is a label as train.csv has it.
func field(label int8) string {
	if label == load.Unknown {
		return ""
	}
	return strconv.Itoa(int(label))
}
