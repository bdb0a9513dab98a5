package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/peers"
)

// benchGrowth are the flags of "bench growth".
type benchGrowth struct {
	peersFlags
	sizes     []int
	small     bool
	memory    []int
	idle      []int
	peersIdle int
}

func newBenchGrowthCommand() *cobra.Command {
	o := benchGrowth{peersFlags: peersFlags{benchFlags: benchFlags{messages: 1, waiting: 1, listeners: 50}}}
	cmd := &cobra.Command{
		Use:   "growth",
		Short: "Measure how work grows with messages and connections",
		Long: `Measure this server and others, as bench peers does, with different numbers of messages and of
connections that wait, and say what a unit of work takes at each size: where that grows, work grows faster than
it should. --report draws the curves.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	o.registerPeers(f)
	f.IntSliceVar(&o.sizes, "sizes", []int{1000, 10000, 100000}, "`numbers` of messages; 0: none of it is measured")
	f.BoolVar(&o.small, "small", false, "these messages are small, of a few hundred octets: a million of them take 5 GiB of disk for each server")
	f.IntSliceVar(&o.memory, "memory-sizes", []int{1000, 1000000}, "`numbers` of messages, small ones, in a memory store of this server; 0 as above")
	f.IntSliceVar(&o.idle, "idle", []int{10, 1000, 10000, 50000}, "`numbers` of connections that wait; 0 as above; more than there may be descriptors are left out, which is told")
	f.IntVar(&o.peersIdle, "peers-idle", 1000, "the most connections that the others are asked to hold")
	o.registerRuns(f)
	return cmd
}

func (o *benchGrowth) run(cmd *cobra.Command) (err error) {
	ctx, stop := stopSignals(cmd.Context())
	defer stop()
	options, err := o.options()
	if err != nil {
		return err
	}
	for _, list := range []*[]int{&o.sizes, &o.memory, &o.idle} {
		if slices.Equal(*list, []int{0}) {
			*list = nil
		}
		if slices.ContainsFunc(*list, func(n int) bool { return n < 1 }) || !slices.IsSorted(*list) {
			return fmt.Errorf("%v: not numbers in ascending order", *list)
		}
	}
	dir, remove, err := benchDir(o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	p := newProgressLine(cmd.ErrOrStderr())
	defer p.end()
	options.Progress = p.run
	g, err := peers.MeasureGrowth(ctx, peers.GrowthOptions{
		Options: peers.Options{
			Bench: options, Servers: append([]string{peers.Ours}, o.peers...), Dir: dir, Version: "mailaccess " + buildVersion(), Say: p.step,
		},
		Messages: o.sizes, Small: o.small, Memory: o.memory, Connections: o.idle, MostOfPeers: o.peersIdle,
	})
	p.end()
	if err != nil {
		return err
	}
	if err := writeJSON(o.json, g); err != nil {
		return err
	}
	if err := o.writePage(g.Page()); err != nil {
		return err
	}
	if err := g.WriteTable(cmd.OutOrStdout()); err != nil {
		return err
	}
	return failedWorkloads(g.Reports())
}

// benchDir returns the directory that is measured on: the one that is named, or one for the time being.
func benchDir(name string) (dir string, remove func() error, err error) {
	if name != "" {
		return name, func() error { return nil }, nil
	}
	if dir, err = os.MkdirTemp("", "mailaccess-bench"); err != nil {
		return "", nil, err
	}
	remove = func() error { return os.RemoveAll(dir) }
	if err := os.Chmod(dir, 0o755); err != nil { // the servers' user goes through it
		return "", nil, errors.Join(err, remove())
	}
	return dir, remove, nil
}

// writeJSON writes figures to a file, if one is named.
func writeJSON(name string, figures any) error {
	if name == "" {
		return nil
	}
	text, err := json.MarshalIndent(figures, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}
