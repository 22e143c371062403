package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/internal/inwords"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia"
	"github.com/cspine/cspine/models/nets"
)

type modelClassifierFlags struct {
	out, encoder string
	seed         uint64
	classifier   nets.Classifier
}

func newModelBuildClassifier() *cobra.Command {
	var b modelClassifierFlags
	var names []string
	for _, e := range nets.Encoders {
		names = append(names, e.Name())
	}
	c := &cobra.Command{
		Use:   "classifier --out FILE",
		Short: "Write the network that tells which vertebrae are fractured",
		Long: `Write a classifier with fresh weights as an ONNX file: an encoder that looks at each
slice alone, a two-layer bidirectional LSTM over the slices, and a logit for each.

  --type 1  looks at one vertebra: crops [N,15,6,SIZE,SIZE] to slices [N,15]
  --type 2  looks at a patient's seven: crops [N,105,6,SIZE,SIZE] to slices [N,105]
            and, by a second LSTM, patient [N,1]

The encoder is one of ` + strings.Join(names, ", ") + `,
with random weights, or an ONNX file that you exported, such as a network of timm
with its ImageNet weights: images [N,3,H,W] (N free or 1) to features [N,F] or
[N,F,h,w]. Its first convolution's weights are repeated over a slice's six channels
and scaled by a half. It is run beside the file that it came from, and refused if
the features differ.

In Python, an export that can be trained on, for any size:
  m = timm.create_model("tf_efficientnetv2_s.in21k_ft_in1k", pretrained=True, num_classes=0)
  torch.onnx.export(m, torch.rand(1, 3, 224, 224), "encoder.onnx", dynamo=False,
      opset_version=17, input_names=["input"], do_constant_folding=False,
      training=torch.onnx.TrainingMode.PRESERVE,  # after m.eval(): keeps normalisations
      dynamic_axes={"input": {0: "batch", 2: "rows", 3: "columns"}})

The same options and seed give the same bytes.`,
		Example: `  cspine model build classifier --out classifier.onnx
  cspine model build classifier --type 2 --encoder encoder.onnx --out patient.onnx`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return b.build(c) },
	}
	f := c.Flags()
	f.StringVar(&b.out, "out", "", "file to write")
	f.Uint64Var(&b.seed, "seed", 1, "decides the initial weights")
	f.IntVar(&b.classifier.Type, "type", 1, "1: a vertebra, 2: a patient's seven")
	f.StringVar(&b.encoder, "encoder", nets.Small.Name(), "the encoder's name, or an ONNX file")
	f.IntVar(&b.classifier.Size, "size", 0, "edge of a crop in pixels: 224 or a whole fraction (default: 112 for small, a file's own if it has one, or 224)")
	f.IntVar(&b.classifier.Hidden, "hidden", 0, "width of the LSTMs, each direction (default: 128 for small, else 256)")
	return c
}

func (b *modelClassifierFlags) build(c *cobra.Command) error {
	if b.out == "" {
		return usage("--out is missing: the file to write")
	}
	if b.classifier.Type != 1 && b.classifier.Type != 2 {
		return usage("--type %d: 1 is a vertebra, 2 a patient's seven", b.classifier.Type)
	}
	encoder, unknown := nets.FindEncoder(b.encoder)
	if unknown != nil {
		file, err := models.ReadFile(b.encoder)
		if errors.Is(err, os.ErrNotExist) {
			return usage("--encoder %s: there is no such file, and %w", b.encoder, unknown)
		}
		if err == nil {
			encoder, err = nets.Imported(file)
		}
		if err != nil {
			return fmt.Errorf("--encoder %s: %w", b.encoder, err)
		}
	}
	b.classifier.Encoder = encoder
	file, err := b.classifier.Build(b.seed)
	var refused *models.Error
	if errors.As(err, &refused) {
		return fmt.Errorf("--encoder %s: %w", b.encoder, err)
	}
	if err != nil {
		return usage("%w", err)
	}
	info, err := models.Info(file)
	if err != nil {
		return err
	}
	if err := encoder.Verify(c.Context(), gorgonia.New(), int(info.Inputs[0].Shape[4])); err != nil {
		return fmt.Errorf("--encoder %s: %w", b.encoder, err)
	}
	if err := os.WriteFile(b.out, file, 0o666); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s, %s: crops %v\n", b.out, inwords.Bytes(int64(len(file))), info.Inputs[0].Shape)
	return nil
}
