package engines

import (
	"errors"

	"github.com/cspine/cspine/models"
)

// Status is what this machine has of an engine.
type Status struct {
	Name   string `json:"name"`
	Trains bool   `json:"trains"`
	// Identity and Precisions are the engine's, where it is here.
	Identity   string             `json:"identity,omitempty"`
	Precisions []models.Precision `json:"precisions,omitempty"`
	// Missing says why it is not, and Remedy how to get it. Both are empty where it is here.
	Missing string `json:"missing,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

// Survey looks at every engine, in the order in which Auto prefers them.
func Survey() []Status {
	var all []Status
	for _, c := range candidates {
		s := Status{Name: c.name, Trains: c.trains}
		e, err := c.find()
		var wrong *models.Error
		switch {
		case err == nil:
			s.Identity, s.Precisions = e.Identity(), e.Precisions()
		case errors.As(err, &wrong):
			s.Missing, s.Remedy = wrong.Detail, wrong.Remedy
		default:
			s.Missing = err.Error()
		}
		all = append(all, s)
	}
	return all
}
