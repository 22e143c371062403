package perprocess

import (
	"errors"
	"sync"
	"testing"
)

func TestEachKeyIsOpenedOnce(t *testing.T) {
	var s Shared[int]
	opened := 0
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, err := s.Get("a", func() (int, error) { opened++; return opened, nil }); got != 1 || err != nil {
				t.Errorf("%d, %v", got, err)
			}
		})
	}
	wg.Wait()
	if got, _ := s.Get("b", func() (int, error) { return 7, nil }); got != 7 {
		t.Errorf("another key gives %d", got)
	}
}

func TestAFailureIsTriedAgain(t *testing.T) {
	var s Shared[int]
	if _, err := s.Get("a", func() (int, error) { return 0, errors.New("not yet") }); err == nil {
		t.Error("the failure was lost")
	}
	if got, err := s.Get("a", func() (int, error) { return 3, nil }); got != 3 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
}
