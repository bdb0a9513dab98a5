package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/hashmail/mailaccess/protocols"
)

// Each flag sets the limit that it names.
func TestLimitFlags(t *testing.T) {
	var l limits
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	l.register(f)
	args := strings.Fields(`--max-connections 10 --max-per-address 0 --max-per-network 12 --max-per-user 13
		--trusted-networks 192.0.2.8,10.0.0.0/8 --trusted-networks fd00::/8
		--handshake-timeout 14s --auth-timeout 15s --command-timeout 16s --literal-timeout 17s --write-timeout 1m
		--commands-per-second 18 --max-bad-commands 19
		--max-line 20KiB --max-message 21MiB --max-string 22KiB --max-command 23KiB
		--max-nesting 24 --max-list-items 25 --max-set-elements 26
		--memory-budget 1GiB --memory-per-connection 27MiB`)
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	f.VisitAll(func(flag *pflag.Flag) {
		if !flag.Changed {
			t.Errorf("--%s is not tested", flag.Name)
		}
	})
	want := protocols.Limits{
		Connections: 10, PerAddress: -1, PerNetwork: 12, PerUser: 13,
		Trusted:          []netip.Prefix{netip.MustParsePrefix("192.0.2.8/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		HandshakeTimeout: 14 * time.Second, AuthTimeout: 15 * time.Second, IdleTimeout: 30 * time.Minute,
		CommandTimeout: 16 * time.Second, LiteralTimeout: 17 * time.Second, WriteTimeout: time.Minute,
		CommandsPerSecond: 18, BadCommands: 19,
		MaxLine: 20 << 10, MaxLiteral: 21 << 20, MaxString: 22 << 10, MaxCommand: 23 << 10,
		MaxDepth: 24, MaxItems: 25, MaxSet: 26,
		Memory: 1 << 30, PerConnection: 27 << 20,
	}
	if diff := cmp.Diff(want, l.Limits, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
}

// What cannot be kept is refused, by the flag's name.
func TestLimitFlagsRefused(t *testing.T) {
	users := tempFile(t, "users")
	addUser(t, users, "alice", "sesame")
	for _, tt := range []struct{ flags, says string }{
		{"--max-connections=-1", "--max-connections"},
		{"--max-nesting=0", "--max-nesting"},
		{"--auth-timeout=0", "--auth-timeout"},
		{"--write-timeout=10ms", "less than 1s"},
		{"--max-line=0", "--max-line"},
		{"--trusted-networks=10.1.0.0/8", "the network is 10.0.0.0/8"},
		{"--trusted-networks=example.org", "example.org"},
		{"--memory-budget=1MiB", "Memory"},
		{"--memory-budget=32MiB --memory-per-connection=64MiB", "PerConnection"},
		{"--max-string=1MiB", "MaxString"},
	} {
		args := append([]string{"serve", "--users", users, "--imaps", "", "--pop3s", "", "--store", "memory:"}, strings.Fields(tt.flags)...)
		code, _, stderr := runIn(t, "", args...)
		if code == 0 || !strings.Contains(stderr, tt.says) {
			t.Errorf("%s: exit code %d, %s, want an error with %q", tt.flags, code, stderr, tt.says)
		}
	}
}

// docs/security.md has a row for each flag of a limit, with its default, and names nothing
// as proof that does not exist.
func TestLimitsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Limits\n")
	section, _, _ = strings.Cut(section, "\n### ")
	var l limits
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	l.register(f)
	tests := testNames(t)
	undocumented := make(map[string]bool)
	f.VisitAll(func(flag *pflag.Flag) { undocumented[flag.Name] = flag.Name != "trusted-networks" })
	for line := range strings.Lines(section) {
		cells := strings.Split(line, " | ")
		if len(cells) != 5 || !strings.Contains(cells[2], "--") {
			continue
		}
		name := strings.Trim(cells[2], "`-")
		flag := f.Lookup(name)
		if flag == nil {
			t.Errorf("there is no flag %s", cells[2])
			continue
		}
		undocumented[name] = false
		want := strings.TrimSuffix(flag.DefValue, "0s")
		if _, err := time.ParseDuration(want); err != nil {
			want = flag.DefValue
		}
		if got := strings.ReplaceAll(cells[1], " ", ""); !strings.HasPrefix(got, want) {
			t.Errorf("--%s: the default is %s, not %s", name, want, cells[1])
		}
		for _, m := range backquoted.FindAllStringSubmatch(cells[4], -1) {
			transcripts, err := filepath.Glob("../../protocols/*/testdata/" + m[1] + ".txt")
			if err != nil || len(transcripts) == 0 && !tests[m[1]] {
				t.Errorf("--%s: there is no transcript and no test %s", name, m[1])
			}
		}
	}
	for name, is := range undocumented {
		if is {
			t.Errorf("--%s is not in docs/security.md", name)
		}
	}
}
