// Command slices decodes CT slices over and over, as a study's are decoded, and prints how long one took: one of the two that
// bench/dicom_versus.py compares. With -samples it writes what the files hold.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/cspine/cspine/internal/dicom"
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

// slice is a file and what an index knows of it.
type slice struct {
	name   string
	size   int64
	pixels dicom.PixelFormat
}

func index(names []string) ([]slice, error) {
	var all []slice
	for _, name := range names {
		s := slice{name: name}
		if err := s.readHeader(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, s)
	}
	return all, nil
}

func (s *slice) readHeader() error {
	f, err := os.Open(s.name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h, err := dicom.ReadHeader(f, info.Size(), nil)
	if err != nil {
		return err
	}
	s.size, s.pixels = info.Size(), h.Pixels
	return nil
}

// worker has the memory that is used again for each slice.
type worker struct {
	encoded []byte
	decoded []uint16
}

// decode reads a slice's pixel data and decodes them, as transforms/decode does.
func (w *worker) decode(s *slice) error {
	f, err := os.Open(s.name)
	if err != nil {
		return err
	}
	defer f.Close()
	offset, n := s.pixels.Offset, s.pixels.Length
	if s.pixels.Deflated > 0 {
		offset, n = 0, s.size
	}
	w.encoded = slices.Grow(w.encoded[:0], int(n))[:n]
	if _, err := f.ReadAt(w.encoded, offset); err != nil {
		return err
	}
	value := w.encoded
	if s.pixels.Deflated > 0 {
		if value, err = s.pixels.Value(value); err != nil {
			return err
		}
	}
	out, err := dicom.DecodeFrame(value, s.pixels, 0, w.decoded)
	w.decoded = out.Pix
	return err
}

func measure(names []string, rounds int, header bool) error {
	runtime.GOMAXPROCS(1)
	all, err := index(names)
	if err != nil {
		return err
	}
	var w worker
	var begin time.Time
	for round := range rounds + 1 {
		if round == 1 {
			begin = time.Now()
		}
		for i := range all {
			if header && round > 0 {
				if err := all[i].readHeader(); err != nil {
					return err
				}
			}
			if err := w.decode(&all[i]); err != nil {
				return err
			}
		}
	}
	each := time.Since(begin).Seconds() / float64(rounds*len(all))
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"ms": 1000 * each})
}

// scale measures slices a second of one goroutine and of several, in turn, each with as many processors.
func scale(names []string, rounds, goroutines int) error {
	all, err := index(names)
	if err != nil {
		return err
	}
	workers := make([]worker, goroutines)
	rate := func(n int) (float64, error) {
		runtime.GOMAXPROCS(n)
		var wait sync.WaitGroup
		errs := make([]error, n)
		begin := time.Now()
		for k := range n {
			wait.Go(func() {
				for range rounds {
					for i := range all {
						if err := workers[k].decode(&all[i]); err != nil {
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
		return float64(n*rounds*len(all)) / seconds, nil
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
