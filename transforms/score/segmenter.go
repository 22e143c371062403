package score

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/transforms/segment"
)

// Labelled is a study whose vertebrae are known.
type Labelled struct {
	Study string
	// Volume has the intensities, Labels 0 for background and 1 … 7 for C1 … C7: uint8 [128,128,128].
	Volume, Labels []byte
}

// Segmenter is how well a segmenter does on studies.
type Segmenter struct {
	Studies int `json:"studies"`
	// Dice is each level's mean over studies, C1 to C7; Mean is their mean, and Interval its 95 % confidence interval.
	Dice     [volume.Levels]float64 `json:"dice"`
	Mean     float64                `json:"mean_dice"`
	Interval [2]float64             `json:"interval"`
	// Swapped are the vertebrae whose mask lies more on another level than on its own.
	Swapped []Swap `json:"swapped"`
	// PerStudy has each study, in the order of the samples.
	PerStudy []StudyDice `json:"per_study"`
}

// StudyDice is one study's dice by level.
type StudyDice struct {
	Study string                 `json:"study"`
	Dice  [volume.Levels]float64 `json:"dice"`
	Mean  float64                `json:"mean_dice"`
}

// Worst are studies by their mean dice, the least first.
func Worst(studies []StudyDice) []StudyDice {
	return slices.SortedStableFunc(slices.Values(studies), func(a, b StudyDice) int { return cmp.Compare(a.Mean, b.Mean) })
}

// Swap is a vertebra that was taken for another.
type Swap struct {
	Study string `json:"study"`
	Mask  string `json:"mask"` // what the mask says it is
	Truth string `json:"truth"`
}

// Segment runs the segmenter, an ensemble where there are several networks, as the segment step does, and compares its masks with
// the labels. A voxel counts where its probability is above one half.
func Segment(ctx context.Context, nets []models.Network, studies iter.Seq2[Labelled, error]) (*Segmenter, error) {
	s := &Segmenter{Swapped: []Swap{}, PerStudy: []StudyDice{}}
	var means []float64
	for study, err := range studies {
		if err != nil {
			return nil, err
		}
		vol := npy.New(npy.Uint8, segment.Size, segment.Size, segment.Size)
		if len(study.Volume) != len(vol.Data) || len(study.Labels) != len(vol.Data) {
			return nil, fmt.Errorf("score: study %s has a volume of %d and labels of %d voxels, not %d", study.Study, len(study.Volume), len(study.Labels), len(vol.Data))
		}
		copy(vol.Data, study.Volume)
		mask, err := segment.Infer(ctx, nets, vol)
		if err != nil {
			return nil, fmt.Errorf("score: study %s: %w", study.Study, err)
		}
		one := StudyDice{Study: study.Study}
		var overlaps [volume.Levels][1 + volume.Levels]int
		var all sync.WaitGroup
		for level := range volume.Levels {
			all.Go(func() {
				overlaps[level] = overlap(mask.Data[level*len(vol.Data):][:len(vol.Data)], study.Labels)
			})
		}
		all.Wait()
		truth := sums(study.Labels)
		for level, o := range overlaps {
			one.Dice[level] = diceOf(o, truth[1+level], level)
			one.Mean += one.Dice[level] / volume.Levels
			if best := mostOverlapped(o); best >= 0 && best != level {
				s.Swapped = append(s.Swapped, Swap{study.Study, volume.LevelName(level), volume.LevelName(best)})
			}
		}
		s.PerStudy, means = append(s.PerStudy, one), append(means, one.Mean)
	}
	s.Studies = len(means)
	for _, one := range s.PerStudy {
		for level, d := range one.Dice {
			s.Dice[level] += d / float64(s.Studies)
		}
		s.Mean += one.Mean / float64(s.Studies)
	}
	s.Interval = Interval(means, 1)
	return s, nil
}

// overlap counts a mask's voxels by the label they lie on.
func overlap(mask, labels []byte) (n [1 + volume.Levels]int) {
	for i, v := range mask {
		if v > 127 { // of 255: a probability of one half is 127.5
			n[min(int(labels[i]), volume.Levels)]++
		}
	}
	return n
}

func sums(labels []byte) (n [1 + volume.Levels]int) {
	for _, l := range labels {
		n[min(int(l), volume.Levels)]++
	}
	return n
}

// diceOf is Dice, from a mask's overlaps and the number of the level's own voxels.
func diceOf(o [1 + volume.Levels]int, own, level int) float64 {
	predicted := 0
	for _, n := range o {
		predicted += n
	}
	if own == 0 {
		if predicted == 0 {
			return 1
		}
		return 0
	}
	return 2 * float64(o[1+level]) / float64(predicted+own)
}

// mostOverlapped returns the level on which most of a mask lies, or −1 where it lies on none.
func mostOverlapped(o [1 + volume.Levels]int) int {
	best := -1
	for level := range volume.Levels {
		if o[1+level] > 0 && (best < 0 || o[1+level] > o[1+best]) {
			best = level
		}
	}
	return best
}
