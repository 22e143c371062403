package artifacts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// fileDriver keeps values as files below a folder of a local file system.
//
// A value is written to a file of its own in the store's tmp folder (the same file system), flushed,
// published under its key by a hard link or a rename, and its folder is flushed. A crash leaves at most a
// stale temporary file, which a later open sweeps. On network file systems this holds as far as their
// links, renames and fsync do.
type fileDriver struct {
	root    string       // absolute
	flush   bool         // false: Options.NoFlush
	prepare func() error // makes the root and its tmp folder ready for writing, the first time it is called
	made    sync.Map     // folders known to exist: path → struct{}
}

// tempPattern is a temporary file's name: its birth in seconds of Unix time and a random number. The
// birth stands in the name because a link to an object carries the object's age.
const tempPattern = "%d-%016x"

// NewFileDriver returns a driver on a local folder. The first write creates the folder if need be, and
// sweeps stale temporary files.
func NewFileDriver(folder string, opts *Options) (Driver, error) {
	if opts == nil {
		opts = &Options{}
	}
	root, err := filepath.Abs(folder)
	if err != nil {
		return nil, fmt.Errorf("artifacts: %w", err)
	}
	d := &fileDriver{root: root, flush: !opts.NoFlush}
	staleAfter := cmp.Or(opts.StaleAfter, 24*time.Hour)
	d.prepare = sync.OnceValue(func() error {
		d.sweep(staleAfter)
		if err := os.MkdirAll(d.temp(), 0o777); err != nil {
			return err
		}
		_ = d.flushFolder(filepath.Dir(d.root)) // in case the root is new; it may not be ours to open
		return d.flushFolder(d.root)
	})
	return d, nil
}

func (d *fileDriver) Read(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(d.file(key))
	if err != nil {
		return nil, fileError(key, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fileError(key, err)
	}
	if info.IsDir() {
		return nil, notFound(key)
	}
	if err := checkSize(key, info.Size()); err != nil {
		return nil, err
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fileError(key, err)
	}
	return data, nil
}

func (d *fileDriver) ReadAt(ctx context.Context, key string, p []byte, offset int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	f, err := os.Open(d.file(key))
	if err != nil {
		return 0, fileError(key, err)
	}
	defer f.Close()
	n, err := f.ReadAt(p, offset)
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	case errors.Is(err, syscall.EISDIR):
		return 0, notFound(key)
	}
	return n, fileError(key, err)
}

func (d *fileDriver) Stat(ctx context.Context, key string) (Info, error) {
	if err := ctx.Err(); err != nil {
		return Info{}, err
	}
	info, err := os.Stat(d.file(key))
	if err != nil {
		return Info{}, fileError(key, err)
	}
	if info.IsDir() {
		return Info{}, notFound(key)
	}
	return Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil
}

func (d *fileDriver) Create(ctx context.Context, key string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := os.Lstat(d.file(key)); err == nil {
		return exists(key) // spares the writing; the link below decides
	}
	return d.write(key, data, 0o444, linkNew)
}

func (d *fileDriver) Replace(ctx context.Context, key string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	mode := fs.FileMode(0o666)
	if isContent(key) {
		mode = 0o444
	}
	return d.write(key, data, mode, os.Rename)
}

func (d *fileDriver) Copy(ctx context.Context, from, to string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.prepare(); err != nil {
		return writeError(to, err)
	}
	// A link under a temporary name, since a link cannot replace and a rename can.
	temp := d.tempName()
	defer discard(temp) // also when the rename worked: it leaves both names of one file alone
	err := os.Link(d.file(from), temp)
	if err == nil {
		return d.publish(temp, to, os.Rename)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fileError(from, err)
	}
	data, err := d.Read(ctx, from) // no hard links here, or too many of this file
	if err != nil {
		return err
	}
	return d.write(to, data, 0o444, os.Rename)
}

func (d *fileDriver) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(d.file(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(key, err)
	}
	return nil
}

func (d *fileDriver) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		folder := path.Dir(prefix + "x") // of "a/b/c" and "a/b/" it is a/b
		d.walk(ctx, folder, prefix, yield)
	}
}

func (d *fileDriver) Close() error { return nil }

// walk yields the files below folder whose keys begin with prefix. It reports whether to go on.
func (d *fileDriver) walk(ctx context.Context, folder, prefix string, yield func(Info, error) bool) bool {
	if err := ctx.Err(); err != nil {
		yield(Info{}, err)
		return false
	}
	entries, err := os.ReadDir(d.file(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		yield(Info{}, fileError(folder, err))
		return false
	}
	for _, e := range entries {
		key := path.Join(folder, e.Name())
		if e.IsDir() {
			within := strings.HasPrefix(key+"/", prefix) || strings.HasPrefix(prefix, key+"/")
			if within && key != tempFolder && !d.walk(ctx, key, prefix, yield) {
				return false
			}
			continue
		}
		if !strings.HasPrefix(key, prefix) || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			yield(Info{}, fileError(key, err))
			return false
		}
		if !yield(Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil) {
			return false
		}
	}
	return true
}

// write brings data under key by way of a flushed temporary file.
func (d *fileDriver) write(key string, data []byte, mode fs.FileMode, place func(temp, final string) error) error {
	if err := d.prepare(); err != nil {
		return writeError(key, err)
	}
	temp := d.tempName()
	defer discard(temp)
	if err := d.writeTemp(temp, data, mode); err != nil {
		return writeError(key, err)
	}
	return d.publish(temp, key, place)
}

// publish places a flushed temporary file under key and flushes the folder it then lies in.
func (d *fileDriver) publish(temp, key string, place func(temp, final string) error) error {
	final := d.file(key)
	folder := filepath.Dir(final)
	if err := d.makeFolder(folder); err != nil {
		return writeError(key, err)
	}
	err := place(temp, final)
	if errors.Is(err, fs.ErrNotExist) { // somebody removed the folder since we made it
		d.made.Clear()
		if err = d.makeFolder(folder); err == nil {
			err = place(temp, final)
		}
	}
	if err != nil {
		return writeError(key, err)
	}
	if err := d.flushFolder(folder); err != nil {
		return writeError(key, err)
	}
	return nil
}

// makeFolder creates folder, which must lie below the root, and flushes the folders that name new ones.
func (d *fileDriver) makeFolder(folder string) error {
	if _, ok := d.made.Load(folder); ok || folder == d.root {
		return nil
	}
	parent := filepath.Dir(folder)
	if err := d.makeFolder(parent); err != nil {
		return err
	}
	err := os.Mkdir(folder, 0o777)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := d.flushFolder(parent); err != nil {
		return err
	}
	d.made.Store(folder, struct{}{})
	return nil
}

// sweep removes temporary files that no living writer can own, and nothing else. It is no error if it
// cannot.
func (d *fileDriver) sweep(age time.Duration) {
	entries, _ := os.ReadDir(d.temp())
	for _, e := range entries {
		var born int64
		if _, err := fmt.Sscanf(e.Name(), tempPattern, &born, new(uint64)); err != nil {
			continue
		}
		if time.Since(time.Unix(born, 0)) > age {
			discard(filepath.Join(d.temp(), e.Name()))
		}
	}
}

func (d *fileDriver) file(key string) string { return filepath.Join(d.root, filepath.FromSlash(key)) }

func (d *fileDriver) temp() string { return filepath.Join(d.root, tempFolder) }

func (d *fileDriver) tempName() string {
	return filepath.Join(d.temp(), fmt.Sprintf(tempPattern, time.Now().Unix(), rand.Uint64()))
}

// writeTemp creates the file name with data that survive a crash.
func (d *fileDriver) writeTemp(name string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && d.flush {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// discard removes a temporary file if it is still there; if it cannot, a later sweep will.
func discard(temp string) { _ = os.Remove(temp) }

// flushFolder makes the names in a folder survive a crash.
func (d *fileDriver) flushFolder(folder string) error {
	if !d.flush || runtime.GOOS == "windows" { // where folders cannot be flushed
		return nil
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// linkNew places temp at final unless something is there. File systems without hard links get a rename,
// and with it a moment in which two writers may both succeed.
func linkNew(temp, final string) error {
	err := os.Link(temp, final)
	if err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Lstat(final); err == nil {
		return fs.ErrExist
	}
	return os.Rename(temp, final)
}

// fileError gives an error of reading its place in this package's kinds.
func fileError(key string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return notFound(key)
	}
	return fmt.Errorf("artifacts: %s: %w", key, err)
}

// writeError gives an error of writing its place in this package's kinds.
func writeError(key string, err error) error {
	switch {
	case errors.Is(err, fs.ErrExist):
		return exists(key)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("artifacts: %s: %w: its folder vanished while it was open (%w)", key, ErrLayout, err)
	}
	return fmt.Errorf("artifacts: %s: %w", key, err)
}
