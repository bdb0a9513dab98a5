package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/peers"
)

// peersFlags are the flags that "bench peers" and "bench growth" share.
type peersFlags struct {
	benchFlags
	peers []string
	dir   string
	json  string
}

func (p *peersFlags) registerPeers(f *pflag.FlagSet) {
	f.StringSliceVar(&p.peers, "peers", []string{"dovecot"}, "`names` of the other servers, of "+strings.Join(peers.Names()[1:], ", "))
	f.StringVar(&p.dir, "dir", "", "`directory` for mail and configurations, on the disk to measure (default one for the time being)")
	f.StringVar(&p.json, "json", "", "`file` to write all figures to")
}

// benchPeers are the flags of "bench peers".
type benchPeers struct {
	peersFlags
	crlf bool
	doc  string
}

func newBenchPeersCommand() *cobra.Command {
	o := benchPeers{peersFlags: peersFlags{benchFlags: benchFlags{waiting: 1000, listeners: 200}}}
	cmd := &cobra.Command{
		Use:   "peers",
		Short: "Measure this server beside others, on this machine",
		Long: `Start this server and others that are installed, each with a Maildir of its own that has
the same messages, measure them in turns, and say how many times more the others take.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	o.registerPeers(f)
	f.BoolVar(&o.crlf, "crlf", false, "the lines of messages on disk end in CRLF")
	f.StringVar(&o.doc, "doc", "", "`file` in Markdown with the lines <!-- peers --> and <!-- /peers -->, between which the comparison goes, and, for --syscalls, such lines with syscalls")
	o.register(f)
	return cmd
}

func (o *benchPeers) run(cmd *cobra.Command) (err error) {
	ctx, stop := stopSignals(cmd.Context())
	defer stop()
	options, err := o.options()
	if err != nil {
		return err
	}
	dir, remove, err := benchDir(o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	p := newProgressLine(cmd.ErrOrStderr())
	defer p.end()
	options.Progress = p.run
	r, err := peers.Run(ctx, peers.Options{
		Bench: options, Servers: append([]string{peers.Ours}, o.peers...), Dir: dir, CRLF: o.crlf, Version: "mailaccess " + buildVersion(), Say: p.step,
	})
	p.end()
	if err != nil {
		return err
	}
	if err := writeJSON(o.json, r); err != nil {
		return err
	}
	if o.doc != "" {
		if err := peers.WriteDoc(o.doc, r); err != nil {
			return err
		}
	}
	if err := o.writePage(r.Page()); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "the machine before: %s\nand after: %s\n", r.Physics, r.After)
	for i, report := range r.Reports {
		fmt.Fprintf(out, "\n%s (%s)\n", r.Servers[i].Version, r.Servers[i].About)
		if err := bench.WriteTable(out, report); err != nil {
			return err
		}
	}
	for _, report := range r.Reports[1:] {
		fmt.Fprintln(out)
		if err := bench.WriteComparison(out, report.Target, peers.Ours, bench.Compare(report, r.Reports[0])); err != nil {
			return err
		}
	}
	for _, t := range r.Tables() {
		fmt.Fprintln(out)
		if err := t.Write(out); err != nil {
			return err
		}
	}
	return failedWorkloads(r.Reports)
}
