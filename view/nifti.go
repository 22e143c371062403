package view

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
)

// niftiVolume answers with a volume as NIfTI, for what draws in three dimensions. ?index= is the study's index, which knows where it lies.
func (s *Server) niftiVolume(w http.ResponseWriter, r *http.Request) error {
	a, err := s.tensors.volume(r.Context(), r.PathValue("digest"))
	if err != nil {
		return err
	}
	return s.writeNIfTI(w, r, a)
}

// niftiLabels answers with a mask as a label map, in the same way.
func (s *Server) niftiLabels(w http.ResponseWriter, r *http.Request) error {
	a, err := s.tensors.labels(r.Context(), r.PathValue("digest"))
	if err != nil {
		return err
	}
	return s.writeNIfTI(w, r, a)
}

func (s *Server) writeNIfTI(w http.ResponseWriter, r *http.Request, a *npy.Array) error {
	at := volume.Affine{{0, 1, 0, 0}, {1, 0, 0, 0}, {0, 0, -1, 0}} // rows to the back, columns to the left, slices to the feet
	if digest := r.FormValue("index"); digest != "" {
		x, err := readIndex(r.Context(), s.store, digest)
		if err != nil {
			return err
		}
		at = x.Grid(a.Shape[0], a.Shape[1], a.Shape[2])
	}
	var out bytes.Buffer
	if err := nifti.Write(&out, nifti.OfVolume(a.Data, a.Shape, at)); err != nil {
		return err
	}
	keep(w)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(out.Len()))
	_, _ = w.Write(out.Bytes())
	return nil
}
