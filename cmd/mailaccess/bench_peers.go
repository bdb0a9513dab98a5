package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/peers"
)

// benchPeers are the flags of "bench peers".
type benchPeers struct {
	benchFlags
	peers []string
	dir   string
	crlf  bool
	json  string
	doc   string
}

func newBenchPeersCommand() *cobra.Command {
	o := benchPeers{benchFlags: benchFlags{waiting: 1000, listeners: 200}}
	cmd := &cobra.Command{
		Use:   "peers",
		Short: "Measure this server beside others, on this machine",
		Long: `Start this server and others that are installed, each with a Maildir of its own that has
the same messages, measure them in turns, and say how many times more the others take.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.peers, "peers", []string{"dovecot"}, "`names` of the other servers")
	f.StringVar(&o.dir, "dir", "", "`directory` for mail and configurations, on the disk to measure (default one for the time being)")
	f.BoolVar(&o.crlf, "crlf", false, "the lines of messages on disk end in CRLF")
	f.StringVar(&o.json, "json", "", "`file` to write all figures to")
	f.StringVar(&o.doc, "doc", "", "`file` in Markdown with the lines <!-- peers --> and <!-- /peers -->, between which the comparison goes")
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
	fmt.Fprintln(out, r.Physics)
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
	return failedWorkloads(r.Reports)
}
