package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/inwords"
	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/view"
)

type viewFlags struct {
	store, data, plan, niivue string
	port                      int
	open                      bool
}

func newView() *cobra.Command {
	var v viewFlags
	c := &cobra.Command{
		Use:   "view --store URL [--data DIR|URL]",
		Short: "Show a store in the browser: runs, studies with masks and crops, lineage, data sets, trainings",
		Long: `Show what a store holds as pages for the browser of this machine: what a run did and
what it refused, studies with their masks, crops and answers, two runs beside each
other, where an artifact comes from, data sets, trainings. It only reads.

It answers on loopback alone, and only to who knows the address that it prints. With
--data axial slices are the study's own, at full resolution; without, those of the
128³ volume. It ends with Ctrl-C.`,
		Example: `  cspine view --store store
  cspine view --store s3://bucket/cspine --data s3://bucket/rsna2022
  cspine plan … --json > plan.json; cspine view --store store --plan plan.json`,
		RunE: func(c *cobra.Command, _ []string) error { return v.run(c) },
	}
	f := c.Flags()
	f.StringVar(&v.store, "store", "", "folder or bucket URL of the artifact store")
	f.StringVar(&v.data, "data", "", "folder or bucket URL of the studies, to show their own slices")
	f.StringVar(&v.plan, "plan", "", "what 'cspine plan --json' wrote: shown as the next run")
	f.StringVar(&v.niivue, "niivue", os.Getenv("CSPINE_NIIVUE_DIR"), "folder of NiiVue, which draws in three dimensions (./run.sh setup view fetches it)")
	f.IntVar(&v.port, "port", 0, "port on loopback (default: a free one)")
	f.BoolVar(&v.open, "open", false, "open the browser")
	return c
}

// options opens what is shown besides the store.
func (v *viewFlags) options(ctx context.Context) (o view.Options, err error) {
	o.NiiVue = v.niivue
	if v.data != "" {
		if o.Data, err = source.Open(ctx, v.data); err != nil {
			return o, err
		}
	}
	if v.plan != "" {
		file, err := os.ReadFile(v.plan)
		if err != nil {
			return o, usage("--plan: %w", err)
		}
		o.Plan = new(view.Plan)
		if err := json.Unmarshal(file, o.Plan); err != nil {
			return o, usage("--plan %s is not what 'cspine plan --json' writes: %w", v.plan, err)
		}
	}
	return o, nil
}

func (v *viewFlags) run(c *cobra.Command) error {
	ctx := c.Context()
	store, err := openStore(ctx, v.store)
	if err != nil {
		return err
	}
	defer store.Close()
	o, err := v.options(ctx)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", v.port))
	if err != nil {
		return fmt.Errorf("no page can be served: %w: leave --port out, or give a free one", err)
	}
	pages := view.New(store, o)
	defer pages.Close()
	address := fmt.Sprintf("http://%s/?token=%s", listener.Addr(), pages.Token())
	fmt.Fprintf(c.OutOrStdout(), "%s\nopen this address; Ctrl-C ends it\n", address)
	if v.open {
		openBrowser(address)
	}
	return serve(ctx, listener, pages)
}

// serve answers until ctx is done, which is no error.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug)}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// openBrowser asks the desktop to show an address. Where there is none, the printed one is there still.
func openBrowser(address string) {
	command := "xdg-open"
	if runtime.GOOS == "darwin" {
		command = "open"
	}
	if err := exec.Command(command, address).Start(); err != nil {
		slog.Debug("view", "error", err)
	}
}

type reportFlags struct {
	store, run, out string
	studies         []string
	most            int
}

func newReport() *cobra.Command {
	var r reportFlags
	c := &cobra.Command{
		Use:   "report --store URL --out FILE.html",
		Short: "Write what a run did, its data set and how good it is as one file to send to someone",
		Long: `Write one HTML file that needs nothing else: what a run did and refused, its data set,
how good its answers are where the store knows what is so, and some studies with
pictures. No patient's data are in it; studies are named as the run names them
(see --pseudonymize of 'cspine prepare').`,
		Example: `  cspine report --store store --out report.html
  cspine report --store store --run first --study 1.2.826.0.1.3680043.10 --out report.html`,
		RunE: func(c *cobra.Command, _ []string) error { return r.write(c.Context(), c.OutOrStdout()) },
	}
	f := c.Flags()
	f.StringVar(&r.store, "store", "", "folder or bucket URL of the artifact store")
	f.StringVar(&r.run, "run", "", "which run (default: the newest)")
	f.StringVar(&r.out, "out", "", "file to write")
	f.StringSliceVar(&r.studies, "study", nil, "show these studies (default: refused ones, then those that were answered worst, then others)")
	f.IntVar(&r.most, "studies", 8, "how many studies to show at most, if --study names none")
	return c
}

func (r *reportFlags) write(ctx context.Context, out io.Writer) error {
	if r.out == "" {
		return usage("--out is missing: the file to write")
	}
	store, err := openStore(ctx, r.store)
	if err != nil {
		return err
	}
	defer store.Close()
	pages := view.New(store, view.Options{})
	defer pages.Close()
	o := view.ReportOptions{Run: r.run, Studies: r.studies, Most: r.most}
	if r.most == 0 {
		o.Most = -1
	}
	file, err := pages.Report(ctx, o)
	if errors.Is(err, artifacts.ErrNotFound) {
		return fmt.Errorf("%w: 'cspine gc' may have deleted it; run again to make it anew", err)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.out), 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(r.out, file, 0o666); err != nil {
		return err
	}
	fmt.Fprintf(out, "report: %s, %s\n", r.out, inwords.Bytes(int64(len(file))))
	return nil
}
