package shard

import (
	"context"
	"errors"
	"testing"
)

func TestNoMoreIsMadeAtATimeThanTheBudgetHolds(t *testing.T) {
	b := newBudget(100)
	refused := func(bytes int64) bool {
		if !b.TryAcquire(bytes) {
			return true
		}
		b.Release(bytes)
		return false
	}
	acquire := func(bytes int64) (release func()) {
		t.Helper()
		release, err := b.acquire(t.Context(), bytes)
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	first, second := acquire(60), acquire(40)
	if !refused(1) {
		t.Error("more went on than there is room for")
	}
	second()
	if refused(40) {
		t.Error("what was released is not there again")
	}
	third := acquire(30)
	if !refused(11) {
		t.Error("more went on than there is room for")
	}
	third()
	first()
	all := acquire(1000) // larger than the budget: alone, but it goes on
	if !refused(1) {
		t.Error("something went on beside what takes all")
	}
	all()
	ended, end := context.WithCancel(t.Context())
	end()
	defer acquire(100)()
	if _, err := b.acquire(ended, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits when its context ends gets %v", err)
	}
}
