package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
)

// announce tells others, until end is called, that this work is under way in the store: 'cspine gc' deletes nothing meanwhile. It fails while one is at work.
func announce(c *cobra.Command, store *artifacts.Store, work string) (end func(), err error) {
	lease, err := store.Share(c.Context(), work)
	if err != nil {
		return nil, err
	}
	for _, held := range lease.Stale {
		fmt.Fprintf(c.ErrOrStderr(), "ignored: %s; it is gone\n", held)
	}
	return func() {
		if err := lease.End(); err != nil {
			fmt.Fprintln(c.ErrOrStderr(), "cspine:", err)
		}
	}, nil
}
