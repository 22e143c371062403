package gorgonia_test

import (
	"testing"

	"github.com/cspine/cspine/models/gorgonia"
	"github.com/cspine/cspine/models/modelstest"
)

func TestEngine(t *testing.T) { modelstest.Run(t, gorgonia.New()) }

func TestTraining(t *testing.T) { modelstest.RunTraining(t, gorgonia.New()) }
