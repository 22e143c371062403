// Command slices decodes CT slices over and over, as a study's are decoded, and prints how long one took: one of the two that
// bench/dicom_versus.py compares. With -samples it writes what the files hold.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/transforms/decode"
	"github.com/cspine/cspine/transforms/ingest"
)

func main() {
	rounds := flag.Int("rounds", 10, "how often each file is decoded, after a first time that does not count")
	header := flag.Bool("header", false, "read each file's header anew every time, as for a file that is in no index")
	scaling := flag.Int("scaling", 0, "so many goroutines against one, in turn")
	samples := flag.Bool("samples", false, "write the stored values of the first four frames as int32, little endian, and do nothing else")
	flag.Parse()
	var err error
	switch {
	case *samples:
		err = writeSamples(flag.Args())
	case *scaling > 0:
		err = scale(flag.Args(), *rounds, *scaling)
	default:
		err = measure(flag.Args(), *rounds, *header)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// study is the files as if they were a study's slices.
type study struct {
	data  *source.Source
	index ingest.Index
	*decode.Reader
}

func open(ctx context.Context, names []string) (*study, error) {
	// As a data set's, the root is the folder that all have in common: each folder on the way costs a call.
	root, err := filepath.Abs(filepath.Dir(names[0]))
	if err != nil {
		return nil, err
	}
	paths := make([]string, len(names))
	for i, name := range names {
		if paths[i], err = filepath.Abs(name); err != nil {
			return nil, err
		}
		for !strings.HasPrefix(paths[i], root+string(filepath.Separator)) && root != filepath.Dir(root) {
			root = filepath.Dir(root)
		}
	}
	data, err := source.Open(ctx, root)
	if err != nil {
		return nil, err
	}
	st := &study{data: data}
	for i, name := range names {
		key, err := filepath.Rel(root, paths[i])
		if err != nil {
			return nil, err
		}
		file, err := data.Stat(ctx, filepath.ToSlash(key))
		if err != nil {
			return nil, err
		}
		st.index.Slices = append(st.index.Slices, ingest.Slice{File: file})
		if err := st.readHeader(ctx, i); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	st.Reader = decode.NewReader(data, &st.index)
	return st, nil
}

func (st *study) readHeader(ctx context.Context, i int) error {
	s := &st.index.Slices[i]
	h, err := dicom.ReadHeader(st.data.ReaderAt(ctx, s.File), s.File.Size, nil)
	if err != nil {
		return err
	}
	s.Pixels = h.Pixels
	return nil
}

// decode decodes a slice, and gives its memory back.
func (st *study) decode(ctx context.Context, i int) error {
	s, err := st.Slice(ctx, i)
	if err == nil {
		decode.Release(s)
	}
	return err
}

func measure(names []string, rounds int, header bool) error {
	runtime.GOMAXPROCS(1)
	ctx := context.Background()
	st, err := open(ctx, names)
	if err != nil {
		return err
	}
	var begin time.Time
	for round := range rounds + 1 {
		if round == 1 {
			begin = time.Now()
		}
		for i := range names {
			if header && round > 0 {
				if err := st.readHeader(ctx, i); err != nil {
					return err
				}
			}
			if err := st.decode(ctx, i); err != nil {
				return err
			}
		}
	}
	each := time.Since(begin).Seconds() / float64(rounds*len(names))
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"ms": 1000 * each})
}

// scale measures slices a second of one goroutine and of several, in turn, each with as many processors.
func scale(names []string, rounds, goroutines int) error {
	ctx := context.Background()
	st, err := open(ctx, names)
	if err != nil {
		return err
	}
	rate := func(n int) (float64, error) {
		runtime.GOMAXPROCS(n)
		var wait sync.WaitGroup
		errs := make([]error, n)
		begin := time.Now()
		for k := range n {
			wait.Go(func() {
				for range rounds {
					for i := range names {
						if err := st.decode(ctx, i); err != nil {
							errs[k] = err
							return
						}
					}
				}
			})
		}
		wait.Wait()
		seconds := time.Since(begin).Seconds()
		for _, err := range errs {
			if err != nil {
				return 0, err
			}
		}
		return float64(n*rounds*len(names)) / seconds, nil
	}
	var quotients []float64
	for pair := range 8 { // the first warms up
		one, err := rate(1)
		if err != nil {
			return err
		}
		many, err := rate(goroutines)
		if err != nil {
			return err
		}
		if pair > 0 {
			quotients = append(quotients, many/one)
		}
	}
	slices.Sort(quotients)
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"scaling": quotients[len(quotients)/2], "from": quotients[0], "to": quotients[len(quotients)-1]})
}

func writeSamples(names []string) error {
	var out bytes.Buffer
	for _, name := range names {
		file, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		h, err := dicom.ReadHeader(bytes.NewReader(file), int64(len(file)), &dicom.Options{HeaderOnly: true})
		if err != nil {
			return err
		}
		value, err := h.Pixels.Value(file)
		if err != nil {
			return err
		}
		for k := range min(h.Pixels.Frames, 4) {
			s, err := dicom.DecodeSamples(value, h.Pixels, k)
			if err != nil {
				return err
			}
			if err := binary.Write(&out, binary.LittleEndian, s.Int); err != nil {
				return err
			}
		}
	}
	_, err := os.Stdout.Write(out.Bytes())
	return err
}
