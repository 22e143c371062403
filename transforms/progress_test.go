package transforms

import (
	"testing"

	"github.com/cspine/cspine/artifacts"
)

func TestAFollowerSeesWhatWorkersDid(t *testing.T) {
	ctx := t.Context()
	store, err := artifacts.Open(ctx, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	folder := ProgressFolder("first", "20261128T120000.000Z")
	if err := store.PutNamed(ctx, ProgressFolder("other", "1")+"/w-1.json", []byte("[]")); err != nil {
		t.Fatal(err)
	}
	var seen []artifacts.Row
	stop := Follow(ctx, store, folder, func(r artifacts.Row) { seen = append(seen, r) })
	a := teller{store: store, prefix: folder + "/a-"}
	b := teller{store: store, prefix: folder + "/b-"}
	a.add(artifacts.Row{Step: "index", Subject: "1.2.3", Verdict: OK, Recipe: "not needed"})
	for _, worker := range []*teller{&a, &b, &a} { // the second has nothing to say, the third nothing new
		if err := worker.leaveWord(ctx); err != nil {
			t.Fatal(err)
		}
	}
	b.add(artifacts.Row{Step: "crop", Subject: "1.2.4", Part: "C3", Verdict: Refused, Reason: "failed"})
	b.add(artifacts.Row{Step: "crop", Subject: "1.2.5", Verdict: OK, Hit: true})
	if err := b.leaveWord(ctx); err != nil {
		t.Fatal(err)
	}
	stop()
	stop() // once is enough
	if len(seen) != 3 || seen[0].Recipe != "" || seen[0].Subject != "1.2.3" && seen[1].Subject != "1.2.3" && seen[2].Subject != "1.2.3" {
		t.Errorf("%+v", seen)
	}
	left, err := store.ListNamed(ctx, "runs/")
	if err != nil || len(left) != 1 {
		t.Errorf("left in the store: %v, %v; the other run's word is not ours", left, err)
	}
}
