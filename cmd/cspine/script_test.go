package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/artifacts/artifactstest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"cspine": func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			models, err := filepath.Abs("../../models/modelstest/testdata") // PyTorch exported them
			if err != nil {
				return err
			}
			encoders, err := filepath.Abs("../../models/nets/testdata/encoders") // so are these
			if err != nil {
				return err
			}
			segmenters, err := filepath.Abs("../../pipelines/testdata") // thresholds of the grey value
			if err != nil {
				return err
			}
			pydicom, err := filepath.Abs("../../internal/dicom/testdata/pydicom") // small files in many codings
			if err != nil {
				return err
			}
			e.Vars = append(e.Vars, "PYDICOM="+pydicom, "MODELS="+models, "ENCODERS="+encoders, "SEGMENTERS="+segmenters)
			e.Vars = append(e.Vars, "CSPINE_NATIVE_DIR="+os.Getenv("CSPINE_NATIVE_DIR"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status, "blank": blank, "aged": aged, "sound": sound, "damage": damage},
	})
}

// status runs a command and checks its exit status: status 3 cspine prepare …
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE COMMAND …")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := err.(interface{ ExitCode() int }); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if want := int(args[0][0] - '0'); got != want {
		ts.Fatalf("status %d, want %d", got, want)
	}
}

// blank takes away all that the slices of a study show: blank FOLDER. They must be explicit little endian, their pixels the last element.
func blank(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*.dcm"))
	if err != nil || len(files) == 0 {
		ts.Fatalf("no slices in %s: %v", args[0], err)
	}
	for _, name := range files {
		file, err := os.ReadFile(name)
		ts.Check(err)
		const header = 12 // tag, VR, two bytes reserved, length
		at := bytes.LastIndex(file, []byte("\xe0\x7f\x10\x00OW"))
		if at < 0 {
			ts.Fatalf("%s has no pixels", name)
		}
		clear(file[at+header:])
		ts.Check(os.WriteFile(name, file, 0o666))
	}
}

// aged makes a store what it would be if all artifacts of a transform had been made by its version 0: aged STORE TRANSFORM.
func aged(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	store, err := artifacts.Open(ctx, ts.MkAbs(args[0]), &artifacts.Options{MustExist: true})
	ts.Check(err)
	key, rows, err := latest(ctx, store, "")
	ts.Check(err)
	for i, row := range rows {
		if row.Transform != args[1] {
			continue
		}
		digest, err := artifacts.ParseDigest(row.Recipe)
		ts.Check(err)
		record, err := store.Record(ctx, digest)
		ts.Check(err)
		record.Recipe.Version = 0
		_, err = store.Do(ctx, record.Recipe, func(ctx context.Context) (artifacts.Content, error) {
			data, err := store.Get(ctx, record.Output.Digest)
			return artifacts.Content{Data: data, Note: record.Note}, err
		})
		ts.Check(err)
		ts.Check(store.RemoveRecord(ctx, digest))
		rows[i].Version, rows[i].Recipe, rows[i].Given = 0, record.Recipe.Digest().String(), "other"
	}
	file, err := artifacts.WriteManifest(rows)
	ts.Check(err)
	ts.Check(store.PutNamed(ctx, key, file))
}

// sound checks that every record of a store leads to an object that hashes to what it says: sound FOLDER.
func sound(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sound FOLDER")
	}
	ctx := context.Background()
	store, err := artifacts.Open(ctx, ts.MkAbs(args[0]), &artifacts.Options{MustExist: true})
	ts.Check(err)
	defer store.Close()
	records, err := artifactstest.CheckSound(ctx, store)
	ts.Check(err)
	ts.Logf("%d records", records)
}

// damage flips a bit in the middle of the first file of these, where it lies: damage PATTERN. All names of the file show it.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	if err != nil || len(files) == 0 {
		ts.Fatalf("no file is named %s: %v", args[0], err)
	}
	ts.Check(flipBit(files[0]))
}

func flipBit(name string) error {
	file, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	file[len(file)/2] ^= 4
	if err := os.Chmod(name, 0o666); err != nil {
		return err
	}
	return os.WriteFile(name, file, 0o666)
}
