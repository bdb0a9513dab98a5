package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/corpus"
)

// benchFlags are the flags that "bench" and "bench peers" share.
type benchFlags struct {
	messages  int
	seed      uint64
	workloads []string
	repeat    int
	duration  time.Duration
	waiting   int
	listeners int
	rate      float64
	calm      time.Duration
	report    string
	syscalls  bool
}

func (b *benchFlags) register(f *pflag.FlagSet) {
	f.IntVar(&b.messages, "messages", 10000, "`number` of messages")
	f.IntVar(&b.waiting, "connections", b.waiting, "`number` of connections that wait in idle-memory and idle-memory-tls")
	f.BoolVar(&b.syscalls, "syscalls", false, "run each workload once more, under strace, and count the system calls of the server")
	b.registerRuns(f)
}

// registerRuns registers those that do not say how much there is.
func (b *benchFlags) registerRuns(f *pflag.FlagSet) {
	f.Uint64Var(&b.seed, "seed", 1, "`number` that the messages are made from: the same ones for the same number")
	f.StringSliceVar(&b.workloads, "workloads", nil, "`names` of what is measured (default all; see mailaccess bench list)")
	f.IntVar(&b.repeat, "repeat", 3, "how `often` each workload is run, after a run to warm up")
	f.DurationVar(&b.duration, "duration", 2*time.Second, "how `long` a run goes on; each does one operation at least")
	f.IntVar(&b.listeners, "listeners", b.listeners, "`number` of connections that are woken in idle-wake")
	f.DurationVar(&b.calm, "calm", 3500*time.Millisecond, "how `long` a server has to do nothing, until what it put off is taken to be done")
	f.Float64Var(&b.rate, "rate", 200, "commands in a second in mixed")
	f.StringVar(&b.report, "report", "", "`file` to write a page for a browser to")
}

func (b *benchFlags) options() (bench.Options, error) {
	o := bench.Options{
		Corpus:    corpus.Corpus{Seed: b.seed, Messages: b.messages},
		Workloads: b.workloads, Repeat: b.repeat, Duration: b.duration,
		Connections: b.waiting, Listeners: b.listeners, Rate: b.rate, Calm: b.calm, Syscalls: b.syscalls,
	}
	switch {
	case b.messages < 1:
		return o, fmt.Errorf("--messages %d: not a number of messages", b.messages)
	case b.repeat < 1:
		return o, fmt.Errorf("--repeat %d: not a number of runs", b.repeat)
	case b.duration <= 0:
		return o, fmt.Errorf("--duration %s: not a length of time", b.duration)
	case b.waiting < 1:
		return o, fmt.Errorf("--connections %d: not a number of connections", b.waiting)
	case b.listeners < 1:
		return o, fmt.Errorf("--listeners %d: not a number of connections", b.listeners)
	case b.calm <= 0:
		return o, fmt.Errorf("--calm %s: not a length of time", b.calm)
	case !(b.rate > 0):
		return o, fmt.Errorf("--rate %v: not a rate", b.rate)
	}
	return o, bench.CheckNames(b.workloads)
}

// writePage writes the report for a browser, if one is wanted.
func (b *benchFlags) writePage(p *bench.Page) error {
	if b.report == "" {
		return nil
	}
	f, err := os.Create(b.report)
	if err != nil {
		return err
	}
	return errors.Join(p.Write(f), f.Close())
}

// benchRun are the flags of "bench".
type benchRun struct {
	benchFlags
	imap, pop3   string
	imaps        string
	user         string
	passwordFile string
	tls          bool
	tlsCA        string
	pid          int
	json         bool
	compare      string
}

func newBenchCommand() *cobra.Command {
	o := benchRun{benchFlags: benchFlags{waiting: 50, listeners: 50}} // what most servers let one user have
	cmd := &cobra.Command{
		Use:   "bench --imap ADDRESS --user NAME --password-file FILE",
		Short: "Measure an IMAP and POP3 server",
		Long: `Measure any IMAP and POP3 server over the wire. The account should be empty: it is filled
with messages that are made for the purpose and are the same each time. One that has as many messages already is taken to have
these. Flags of its messages change, and mailboxes whose names begin with bench- come and go.

For each workload the table says how much of it there was in a second, how long operations
took (half of them, 99 in 100, the longest), and the processor time of this program for each; and,
with --pid, that of the server's processes, which must run on this machine, and their memory. What a server cannot do is
told, and is no failure; an answer that is wrong is one.`,
		Example: `  mailaccess bench --imap 127.0.0.1:1143 --pop3 127.0.0.1:1110 --user bench --password-file password
  mailaccess bench --imap mail.example.org:993 --tls --user bench --password-file password --json > now.json
  mailaccess bench --imap 127.0.0.1:1143 --user bench --password-file password --compare before.json`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.imap, "imap", "", "`address` of the server's IMAP; empty: that is not measured")
	f.StringVar(&o.pop3, "pop3", "", "`address` of its POP3; empty: that is not measured")
	f.StringVar(&o.imaps, "imaps", "", "`address` of its IMAP over TLS, for idle-memory-tls; empty: that is not measured")
	f.StringVar(&o.user, "user", "", "`name` of the user (required)")
	f.StringVar(&o.passwordFile, "password-file", "", "`file` whose first line is the password (required)")
	f.BoolVar(&o.tls, "tls", false, "both addresses speak TLS from the first octet")
	f.StringVar(&o.tlsCA, "tls-ca", "", "`file` with certificates in PEM that the server's is trusted by, instead of the system's")
	f.IntVar(&o.pid, "pid", 0, "`process` above all of the server, whose processor time and memory are measured")
	f.BoolVar(&o.json, "json", false, "write JSON, for --compare and for programs, instead of a table")
	f.StringVar(&o.compare, "compare", "", "`file` with the JSON of another measurement, to compare this one with")
	o.register(f)
	cmd.AddCommand(newBenchPeersCommand(), newBenchGrowthCommand(), newBenchCorpusCommand(), newBenchListCommand())
	return cmd
}

func (o *benchRun) run(cmd *cobra.Command) error {
	ctx, stop := stopSignals(cmd.Context())
	defer stop()
	options, err := o.options()
	if err != nil {
		return err
	}
	if o.syscalls && o.pid == 0 {
		return errors.New("--syscalls needs --pid PROCESS")
	}
	t, err := o.target()
	if err != nil {
		return err
	}
	var before *bench.Report
	if o.compare != "" {
		if before, err = readReport(o.compare); err != nil {
			return err
		}
	}
	p := newProgressLine(cmd.ErrOrStderr())
	defer p.end()
	options.Progress = p.run
	if t.IMAP != "" {
		p.step("seeding: %d messages", o.messages)
		if err := bench.Seed(ctx, t, options.Corpus, func(n int) { p.count("seeding: %d of %d messages", n, o.messages) }); err != nil {
			return err
		}
	}
	reports, err := bench.Measure(ctx, []*bench.Target{t}, options)
	p.end()
	if err != nil {
		return err
	}
	if err := o.write(cmd.OutOrStdout(), before, reports[0]); err != nil {
		return err
	}
	page := &bench.Page{Title: "Measurements of " + t.Name, Reports: reports}
	if calls := bench.SyscallsTable(reports); calls != nil {
		page.Tables = append(page.Tables, calls)
	}
	if before != nil {
		before.Target = "before: " + before.Target
		page.Reports = append(page.Reports, before)
	}
	if err := o.writePage(page); err != nil {
		return err
	}
	return failedWorkloads(reports[:1])
}

func (o *benchRun) write(w io.Writer, before, now *bench.Report) error {
	if o.json {
		return now.Write(w)
	}
	if err := bench.WriteTable(w, now); err != nil {
		return err
	}
	if calls := bench.SyscallsTable([]*bench.Report{now}); calls != nil {
		fmt.Fprintln(w)
		if err := calls.Write(w); err != nil {
			return err
		}
	}
	if before == nil {
		return nil
	}
	fmt.Fprintln(w)
	return bench.WriteComparison(w, "the other", "this one", bench.Compare(before, now))
}

// failedWorkloads is the error that there were workloads which failed.
func failedWorkloads(reports []*bench.Report) error {
	var failed []string
	for _, r := range reports {
		for _, one := range r.Results {
			if one.Error != "" {
				failed = append(failed, r.Target+": "+one.Workload)
			}
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("bench: failed: %s", strings.Join(failed, ", "))
	}
	return nil
}

func (o *benchRun) target() (*bench.Target, error) {
	t := &bench.Target{Name: o.imap, IMAP: o.imap, POP3: o.pop3, User: o.user, PID: o.pid}
	if t.Name == "" {
		t.Name = o.pop3
	}
	switch {
	case t.Name == "":
		return nil, errors.New("no server: give --imap ADDRESS, --pop3 ADDRESS or both")
	case o.user == "":
		return nil, errors.New("no user: give --user NAME")
	case o.passwordFile == "":
		return nil, errors.New("no password: give --password-file FILE")
	}
	text, err := os.ReadFile(o.passwordFile)
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	t.Password = strings.TrimSuffix(string(line), "\r")
	if o.tls && o.imaps != "" {
		return nil, errors.New("--imaps has no use with --tls: all is over TLS")
	}
	if !o.tls && o.imaps == "" {
		if o.tlsCA != "" {
			return nil, errors.New("--tls-ca needs --tls or --imaps")
		}
		return t, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.tlsCA != "" {
		if text, err = os.ReadFile(o.tlsCA); err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--tls-ca %s: no certificate in it", o.tlsCA)
		}
	}
	if o.tls {
		t.TLS = config
		return t, nil
	}
	over := *t
	over.IMAP, over.POP3, over.TLS = o.imaps, "", config
	t.Encrypted = &over
	return t, nil
}

func readReport(name string) (*bench.Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := bench.ReadReport(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

func newBenchListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the workloads",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range bench.Names() {
				fmt.Fprintf(cmd.OutOrStdout(), "%-20s %s\n", name, bench.About(name))
			}
			return nil
		},
	}
}

func newBenchCorpusCommand() *cobra.Command {
	var (
		c    corpus.Corpus
		crlf bool
	)
	cmd := &cobra.Command{
		Use:   "corpus DIR",
		Short: "Write the messages of the measurements as a Maildir",
		Long: `Write the messages that the measurements are made with as a new Maildir, for servers that
read one: as an MTA delivers them, with lines that end in LF. DIR must not be there, or be empty.`,
		Args: exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := stopSignals(cmd.Context())
			defer stop()
			if c.Messages < 1 {
				return fmt.Errorf("--messages %d: not a number of messages", c.Messages)
			}
			p := newProgressLine(cmd.ErrOrStderr())
			defer p.end()
			return c.WriteMaildir(ctx, filepath.Clean(args[0]), crlf, func(n int) { p.count("%d of %d messages", n, c.Messages) })
		},
	}
	f := cmd.Flags()
	f.IntVar(&c.Messages, "messages", 10000, "`number` of messages")
	f.Uint64Var(&c.Seed, "seed", 1, "`number` that the messages are made from")
	f.BoolVar(&crlf, "crlf", false, "end lines with CRLF")
	return cmd
}

// progressLine says what is done: in one line on a terminal, which changes; elsewhere in a line for each step.
type progressLine struct {
	w        io.Writer
	terminal bool
	begun    time.Time
	last     time.Time
	any      bool
	workload string // that is being run
}

func newProgressLine(w io.Writer) *progressLine {
	f, ok := w.(*os.File)
	return &progressLine{w: w, terminal: ok && term.IsTerminal(int(f.Fd())), begun: time.Now()}
}

// run says which run of a workload begins.
func (p *progressLine) run(workload, target string, run, runs int) {
	if !p.terminal {
		if workload != p.workload {
			p.workload = workload
			p.step("%s", workload)
		}
		return
	}
	what := fmt.Sprintf("run %d of %d", run, runs)
	if run == 0 {
		what = "warming up"
	}
	p.step("%s: %s: %s", workload, target, what)
}

// step says what begins.
func (p *progressLine) step(format string, args ...any) {
	if !p.terminal {
		fmt.Fprintf(p.w, "%4.0f s: "+format+"\n", append([]any{time.Since(p.begun).Seconds()}, args...)...)
		return
	}
	p.last, p.any = time.Now(), true
	fmt.Fprintf(p.w, "\r\x1b[K"+format, args...)
}

// count is step for what begins many times in a second: a terminal shows some of them.
func (p *progressLine) count(format string, args ...any) {
	if p.terminal && time.Since(p.last) >= 100*time.Millisecond {
		p.step(format, args...)
	}
}

func (p *progressLine) end() {
	if p.any {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.any = false
	}
}
