package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/bench"
	"github.com/cachenode/cachenode/bench/compare"
	"github.com/cachenode/cachenode/bench/rival"
	"github.com/cachenode/cachenode/internal/units"
)

func newBenchCompare() *cobra.Command {
	o, load, out := compare.DefaultOptions(), newBenchFlags(), &outputs{}
	load.config, load.duration = o.Workload, units.Duration(o.Workload.Duration)
	cmd := &cobra.Command{
		Use:   "compare [flags] [PROXY...]",
		Short: "Run one workload through several proxies in turn",
		Long: `compare runs the same workload through several proxies in turn, A B C A B C and
so on, so that whatever else goes on in the machine falls on all alike. It prints
medians with the least and the most, and how the first proxy compares with each
of the others: ratios of runs that followed each other.

Without PROXY it starts a cachenode of its own, this very program, and with
--against the others of the system's packages: ` + strings.Join(rival.Names()[1:], ", ") + `.
Each gets a configuration for this, a cache of the same size, an access log, a
directory in the temporary one and a free port on loopback, and is stopped in the
end, also after Ctrl-C. What is not installed is named and left out.

nginx has no forward mode and runs as a caching reverse proxy that takes requests
in absolute form. haproxy keeps nothing: it passes bytes to the first proxy, and
its processor time comes on top of what that proxy needs.

The figure to look at is the processor time per request: it hardly moves with the
load of the machine, while rates and latencies do. Processor time that went to
others is shown as noise. The flags of the load are those of 'cachenode bench';
here all objects are asked for once before the first round (--warm all).`,
		Example: `  cachenode bench compare --against squid,nginx              memory hits of 10 KiB
  cachenode bench compare --against squid --sizes fixed:1MiB --objects 100 -c 16
  cachenode bench compare --against squid --hit-ratio 0 --warm none --memory 0    misses, kept on disk
  cachenode bench compare --against squid --tunnel --new-connections              CONNECT
  cachenode bench compare --against haproxy                  the cost of a front end
  cachenode bench compare 10.0.0.1:3128 10.0.0.2:3128 --origin 10.0.0.9:8080
  cachenode bench compare --pin --rounds 5 --against squid,nginx --html compare.html`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Workload, err = load.load(cmd); err != nil {
				return err
			}
			o.Proxies = args
			if err := o.Validate(); err != nil {
				return usage(cmd, err)
			}
			return runCompare(cmd, o, out)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&o.Against, "against", nil, "`PROXIES` to start and compare with: "+strings.Join(rival.Names(), ","))
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "how often each has its turn")
	f.Var(&o.Memory, "memory", "memory cache of those that are started; 0: bodies on disk only")
	f.Var(&o.Disk, "disk", "disk cache of those that are started; 0: none")
	f.BoolVar(&o.Pin, "pin", false, "those that are started on processor 0, load and origin on processor 1")
	load.register(cmd)
	out.register(cmd)
	return cmd
}

func runCompare(cmd *cobra.Command, o compare.Options, out *outputs) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var err error
	if o.Binary, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	show, err := out.prepare(cmd.OutOrStdout())
	if err != nil {
		return err
	}
	progress, done := out.live(cmd)
	r, err := compare.Run(ctx, o, compare.Hooks{
		Load: bench.Run, Version: version(), Progress: progress,
		Begin: func(target string, round, rounds int) {
			done()
			if !out.quiet {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s  round %d of %d: %s\n", time.Now().Format(time.TimeOnly), round, rounds, target)
			}
		},
	})
	done()
	if err != nil {
		return errors.Join(benchFailed(ctx, err), out.close())
	}
	if err := show(r.Text, r.JSON, r.HTML); err != nil {
		return err
	}
	if r.Interrupted && r.Rounds == 0 {
		return &coded{err: errors.New("stopped before the first round was complete"), code: exitFailure}
	}
	if r.Rounds == 0 || r.Targets[0].Error != "" {
		return &coded{err: errors.New("nothing was compared"), code: exitFailure, hint: hintOfComparison(r)}
	}
	return nil
}

func hintOfComparison(r *compare.Report) string {
	for i := range r.Targets {
		if e := r.Targets[i].Error; e != "" {
			return r.Targets[i].Name + ": " + e
		}
	}
	return ""
}
