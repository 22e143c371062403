package transforms

import (
	"path"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/cspine/cspine/artifacts"
)

// Study is the element that travels from step to step: a name, and the digests of what the steps so far
// made of it.
type Study struct {
	Folder string // where its files lie in the data set
	UID    string // StudyInstanceUID, once the study is indexed

	Index  string
	Volume string
	Mask   string
	Boxes  string
	// Segmenter is the digest of what the mask comes from: a model, or a file of labels.
	Segmenter string

	// Pending marks a study of a plan that a step before would compute something of; what comes of it is not known. The other
	// elements have the same mark.
	Pending bool
}

// Name is what the study is called in reports.
func (s Study) Name() string {
	if s.UID != "" {
		return s.UID
	}
	if s.Folder == "" {
		return "."
	}
	return s.Folder
}

// Key is what decides the study's shard and fold: its UID, or what its UID should be by its folder's name while it has none.
func (s Study) Key() string {
	if s.UID != "" {
		return s.UID
	}
	return path.Base(s.Folder)
}

// Sample is one vertebra on its way into a shard. One that was not found travels too, with no crop, so
// that the data set can say how many there are.
type Sample struct {
	Folder, UID string
	Level       int
	Found       bool

	Index string
	// Crop's own: one that was kept may come from a mask, and a segmenter, of an earlier run.
	Crop, Mask, Segmenter string
	Box                   []int // row0, row1, column0, column1, slice0, slice1 in the 128 grid, half-open
	SourceBox             []int // the same in the study's own pixels and slices
	ZPositions            []int // the slices of the study at the crop's positions

	Pending bool
}

// Vertebrae is a study with a sample for each level, on its way to the classifiers.
type Vertebrae struct {
	Folder, UID string
	Samples     []Sample // C1 to C7, also those that were not found
	Pending     bool
}

// Classified is a study with what classifiers say of its vertebrae.
type Classified struct {
	Study Vertebrae
	// Logits are the digests of their answers, classifier by classifier: of one that looks at single vertebrae seven, "" for a vertebra
	// that was not found; of one that looks at all together one, "" if none was found.
	Logits  []string
	Pending bool
}

// Answered is a study with its verdict's digest.
type Answered struct {
	Folder, UID, Verdict string

	Pending bool
}

// Labelled is a study's volume with its label map, on its way into a segmentation shard.
type Labelled struct {
	Folder, UID string

	Volume, Labels, Segmenter string
	Shape                     []int     // of both: rows, columns, slices
	SpacingMM                 []float64 // of their axes
	Voxels                    []int     // of each label, background first

	Pending bool
}

func init() {
	beam.RegisterType(reflect.TypeFor[Study]())
	beam.RegisterType(reflect.TypeFor[Sample]())
	beam.RegisterType(reflect.TypeFor[Labelled]())
	beam.RegisterType(reflect.TypeFor[Vertebrae]())
	beam.RegisterType(reflect.TypeFor[Classified]())
	beam.RegisterType(reflect.TypeFor[Answered]())
	beam.RegisterType(reflect.TypeFor[artifacts.Row]())
	register.Emitter1[Study]()
	register.Emitter1[artifacts.Row]()
	register.Emitter1[Vertebrae]()
	register.Emitter1[Classified]()
	register.Emitter2[int, Answered]()
	register.Emitter2[int, artifacts.Row]()
	register.Emitter2[int, Sample]()
	register.Emitter2[int, Labelled]()
	register.Iter1[Sample]()
	register.Iter1[Labelled]()
	register.Iter1[Answered]()
	register.Iter1[artifacts.Row]()
}
