package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/pipelines"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/shard"
)

func TestEveryStudyPassesEveryStep(t *testing.T) {
	rows := []artifacts.Row{
		{Subject: "whole", Step: "index"}, {Subject: "whole", Step: "crop", Part: "C1"}, {Subject: "whole", Step: "crop", Part: "C2"},
		{Subject: "broken", Step: "index", Verdict: transforms.Refused},
		{Subject: "empty", Step: "index"}, {Subject: "empty", Step: "verdict", Verdict: transforms.NotFound}, // nothing to classify
		{Subject: "whole", Step: "verdict"}, {Subject: "shard-00000", Step: "shard"},
	}
	count := func(steps []string) map[string]int {
		n := map[string]int{}
		c := newStudyCounter(steps, func(step string) { n[step]++ })
		for _, r := range rows {
			c.observe(r)
		}
		return n
	}
	want := map[string]int{"index": 3, "resample": 3, "segment": 3, "boxes": 3, "crop": 3, "classify": 3, "verdict": 3}
	if diff := cmp.Diff(want, count(pipelines.PredictSteps)); diff != "" {
		t.Error(diff)
	}
	// "empty" goes no further than index there, whose steps know no verdict.
	want = map[string]int{"index": 3, "resample": 2, "segment": 2, "boxes": 2, "crop": 2, "shard": 1}
	if diff := cmp.Diff(want, count(pipelines.PrepareSteps(shard.Crops))); diff != "" {
		t.Error(diff)
	}
}

func TestASummarySaysWhatAStepTakesOfAStudy(t *testing.T) {
	s := summarise([]artifacts.Row{
		{Subject: "a", Step: "classify", Part: "C1", Seconds: 1, Verdict: transforms.OK}, {Subject: "a", Step: "classify", Part: "C2", Seconds: 2, Verdict: transforms.OK},
		{Subject: "b", Step: "classify", Part: "C1", Seconds: 5, Verdict: transforms.OK}, {Subject: "c", Step: "classify", Part: "C1", Hit: true, Verdict: transforms.OK},
		{Subject: "d", Step: "verdict", Verdict: transforms.NotFound}, {Subject: "d", Step: "crop", Part: "C1", Verdict: transforms.NotFound},
	}, []string{"crop", "classify", "verdict"}, 10)
	if got := s.Steps[1]; got.PerStudy != 4 || got.Studies != 2 || got.Misses != 3 || got.Hits != 1 {
		t.Errorf("%+v", got)
	}
	if s.Studies != 4 || s.NotFound != 1 || len(s.Empty) != 1 {
		t.Errorf("%+v", s)
	}
}
