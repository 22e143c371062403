package artifacts

import "testing"

func TestContentIsReleasedWhenItIsStored(t *testing.T) {
	store := openFolder(t, t.TempDir())
	released := 0
	content := func(data string) Content {
		return Content{Data: []byte(data), Release: func() { released++ }}
	}
	for i, data := range []string{"one", "one", "two"} { // also what is there already
		if _, err := store.Put(t.Context(), content(data)); err != nil || released != i+1 {
			t.Errorf("%q: %v, released %d times", data, err, released)
		}
	}
	unknown := content("three")
	unknown.Encoding = "rot13"
	if _, err := store.Put(t.Context(), unknown); err == nil || released != 4 {
		t.Errorf("%v, released %d times", err, released)
	}
}
