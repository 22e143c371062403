package artifacts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// storeFormat is the number of the layout described in key.go. A program must refuse stores of a higher one.
const storeFormat = 1

// marker is what cspine-store.json holds: the sign that a location is a store.
type marker struct {
	Format int    `json:"format"`
	About  string `json:"about"`
}

// openLayout makes sure that the driver leads to a store of this format, making one where nothing lies.
func openLayout(ctx context.Context, driver Driver, mustExist bool) error {
	err := readMarker(ctx, driver)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	if mustExist {
		return fmt.Errorf("artifacts: %w: no %s here: is the location right?", ErrLayout, markerKey)
	}
	stranger, err := anyKey(ctx, driver)
	if err != nil {
		return err
	}
	if stranger == "" {
		if err := createMarker(ctx, driver); !errors.Is(err, ErrExist) {
			return err
		}
	}
	// Another process may have made the store since we looked.
	if err := readMarker(ctx, driver); !errors.Is(err, ErrNotFound) {
		return err
	}
	return fmt.Errorf("artifacts: %w: it holds other things (%.80q) and no %s: give an empty or new location", ErrLayout, stranger, markerKey)
}

func readMarker(ctx context.Context, driver Driver) error {
	file, err := driver.Read(ctx, markerKey)
	if err != nil {
		return err
	}
	var m marker
	if err := json.Unmarshal(file, &m); err != nil || m.Format < 1 {
		return fmt.Errorf("artifacts: %w: %s is damaged; it should read {\"format\":%d}", ErrLayout, markerKey, storeFormat)
	}
	if m.Format > storeFormat {
		return fmt.Errorf("artifacts: %w: it has format %d and this program knows %d: use a newer cspine", ErrLayout, m.Format, storeFormat)
	}
	return nil
}

func createMarker(ctx context.Context, driver Driver) error {
	file, err := encodeMarker()
	if err != nil {
		return err
	}
	return driver.Create(ctx, markerKey, file)
}

// encodeMarker returns the marker's file, which is the same for all stores of this format.
func encodeMarker() ([]byte, error) {
	file, err := json.Marshal(marker{Format: storeFormat, About: "a cspine artifact store; its layout stands in docs/formats.md"})
	return append(file, '\n'), err
}

// anyKey returns some key of the driver, or "" if it has none.
func anyKey(ctx context.Context, driver Driver) (string, error) {
	for info, err := range driver.List(ctx, "") {
		return info.Key, err
	}
	return "", nil
}
