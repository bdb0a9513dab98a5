package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// configured returns the flags of serve as they are after the command line, variables and
// the file.
func configured(t *testing.T, args, variables []string, file string) (*pflag.FlagSet, error) {
	t.Helper()
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	if file != "" {
		path := tempFile(t, "mail.toml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	f := newServeCommand().Flags()
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	_, err := configure(f)
	return f, err
}

// samples returns two values for a flag that it takes, and that are not its default.
func samples(t *testing.T, name string) (two []string) {
	t.Helper()
	for _, value := range []string{"true", "false", "7", "8", "7m", "8m", "7d", "8d", "7MiB", "8MiB", "192.0.2.0/24", "198.51.100.0/24", "somewhere", "elsewhere"} {
		f := newServeCommand().Flags()
		flag := f.Lookup(name)
		if was := flag.Value.String(); flag.Value.Set(value) == nil && flag.Value.String() != was && len(two) < 2 {
			two = append(two, value)
		}
	}
	if len(two) == 0 {
		t.Fatalf("--%s: no value is known that it takes", name)
	}
	return append(two, newServeCommand().Flags().Lookup(name).DefValue)[:2] // of a boolean there are two
}

// Each flag can be set in all three ways, to the same effect, and they count in order.
func TestConfigureEachFlag(t *testing.T) {
	newServeCommand().Flags().VisitAll(func(flag *pflag.Flag) {
		if !configurable(flag.Name) || flag.Name == configFlag {
			return
		}
		t.Run(flag.Name, func(t *testing.T) {
			values := samples(t, flag.Name)
			get := func(args, variables []string, file string) string {
				t.Helper()
				f, err := configured(t, args, variables, file)
				if err != nil {
					t.Fatal(err)
				}
				if !f.Changed(flag.Name) {
					t.Error("does not count as set")
				}
				return f.Lookup(flag.Name).Value.String()
			}
			variable := func(v string) []string { return []string{variableOf(flag.Name) + "=" + v} }
			line := func(v string) string { return fmt.Sprintf("%s = %q\n", flag.Name, v) }
			byFile := get(nil, nil, line(values[0]))
			byFlag := get([]string{"--" + flag.Name + "=" + values[0]}, variable(values[1]), line(values[1]))
			byVariable := get(nil, variable(values[0]), line(values[1]))
			if byFile != byFlag || byVariable != byFlag {
				t.Errorf("file %s, variable %s, flag %s", byFile, byVariable, byFlag)
			}
			if other := get(nil, variable(values[1]), line(values[0])); other == byFile {
				t.Errorf("a variable counts no more than the file: %s", other)
			}
		})
	})
}

// Numbers, booleans and lists need no quotes; an empty variable is a value, and IMAP_PORT
// stands between the other variables and the file.
func TestConfigureValues(t *testing.T) {
	f, err := configured(t, nil, []string{"MAILACCESS_POP3S=", "IMAP_PORT=1143", "IMAPS_PORT=1993", "MAILACCESS_IMAPS=127.0.0.1:993"},
		"imap = ':7'\nstore-memory = 65536\nallow-plaintext-auth = true # here\ntrusted-networks = ['10.0.0.0/8', '192.0.2.1']\nauth-masters = ['root']\n'log-level' = 'warn'\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"pop3s": "", "imap": ":1143", "imaps": "127.0.0.1:993", "store-memory": "64KiB", "allow-plaintext-auth": "true", "log-level": "warn", "pop3": ":110", "trusted-networks": "10.0.0.0/8,192.0.2.1/32", "auth-masters": "[root]",
	} {
		if got := f.Lookup(name).Value.String(); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

// What is wrong is named with its place.
func TestConfigureErrors(t *testing.T) {
	for _, test := range []struct{ variable, file, want string }{
		{"", "# x\n\ntls-crt = 'x'\n", "mail.toml, line 3: tls-crt: no such setting; tls-cert is one"},
		{"", "frobnicate = 1\n", "mail.toml, line 1: frobnicate: no such setting"},
		{"", "imap = ':1'\n[limits]\nimap = ':2'\n", "mail.toml, line 2: limits: settings are not in tables"},
		{"", "store-memory = 'much'\n", `mail.toml, line 1: store-memory: "much": not a size, as`},
		{"", "store-memory = 1979-05-27\n", `store-memory: not a string, a number`},
		{"", "imap = [':1', ':2']\n", `mail.toml, line 1: imap: a list, where one value goes`},
		{"", "config = 'other.toml'\n", "mail.toml, line 1: config: no such setting\n"},
		{"", "\nimap = \n", "mail.toml, line 2: "},
		{"", "imap = ':1'\nimap = ':2'\n", "mail.toml"},
		{"MAILACCESS_STORE_MEMORY=much", "", `MAILACCESS_STORE_MEMORY: "much": not a size, as`},
	} {
		t.Run(test.want, func(t *testing.T) {
			var variables []string
			if test.variable != "" {
				variables = append(variables, test.variable)
			}
			if _, err := configured(t, nil, variables, test.file); err == nil || !strings.Contains(err.Error()+"\n", test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	if code, _, stderr := runIn(t, "", "serve", "--config", "missing.toml"); code != 1 || !strings.HasPrefix(stderr, "mailaccess: configuration: open missing.toml") {
		t.Errorf("%d, %s", code, stderr)
	}
}

// A variable that is none of ours is told of, and does no harm.
func TestConfigureStrangers(t *testing.T) {
	t.Setenv("MAILACCESS_TLS_CRT", "cert.pem")
	strangers, err := configure(newServeCommand().Flags())
	if err != nil || fmt.Sprint(strangers) != "[MAILACCESS_TLS_CRT]" {
		t.Errorf("%v, %v", strangers, err)
	}
}

// Other commands take the store, the users file and the socket from where serve does, unless
// they are told otherwise.
func TestConfigureOtherCommands(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	file := written(t, "mail.toml", fmt.Sprintf("store = 'maildir:%s'\nusers = '%s'\nadmin-socket = '%s'\nimap = ':143'\n", in("mail"), in("users"), in("nobody.sock")))
	exists := func(path string) {
		t.Helper()
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	do := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		code, stdout, stderr := runIn(t, "sesame\n", args...)
		if code != want {
			t.Errorf("%q: exit code %d, want %d; %s", args, code, want, stderr)
		}
		return stdout, stderr
	}
	do(0, "user", "add", "ann", "--password-stdin", "--config", file)
	exists(in("users"))
	do(0, "deliver", "ann", "--config", file)
	exists(in("mail/ann/new"))
	do(0, "deliver", "ann", "--config", file, "--store", "maildir:"+in("other"))
	exists(in("other/ann/new"))
	do(0, "check", "--config", file)
	if stdout, _ := do(0, "undelete", "ann", "--list", "--config", file); stdout != "" {
		t.Errorf("undelete: %s", stdout)
	}
	if _, stderr := do(1, "bans", "lift", "all", "--config", file); !strings.Contains(stderr, in("nobody.sock")) {
		t.Errorf("bans asks elsewhere: %s", stderr)
	}
	t.Setenv("MAILACCESS_STORE", "maildir:"+in("third"))
	do(0, "deliver", "ann", "--config", file)
	exists(in("third/ann/new"))
	t.Setenv("MAILACCESS_CONFIG", in("missing"))
	for _, args := range [][]string{{"deliver", "ann"}, {"check"}, {"undelete", "ann"}, {"bans"}, {"user", "add", "bob"}} {
		code := map[string]int{"deliver": exitTemporary, "check": 2}[args[0]]
		if _, stderr := do(max(code, 1), args...); !strings.Contains(stderr, "configuration: open "+in("missing")) {
			t.Errorf("%q: %s", args, stderr)
		}
	}
}

// The file to start from names every setting with its default: as it is, it changes nothing,
// and no more does it with all of it in force.
func TestSampleConfig(t *testing.T) {
	code, sample, stderr := runIn(t, "", "config")
	if code != 0 {
		t.Fatal(stderr)
	}
	f, err := configured(t, nil, nil, sample)
	if err != nil {
		t.Fatal(err)
	}
	defaults := newServeCommand().Flags()
	var all bytes.Buffer
	for line := range strings.Lines(sample) {
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# ") {
			line = line[1:]
		}
		all.WriteString(line)
	}
	g, err := configured(t, nil, nil, all.String())
	if err != nil {
		t.Fatalf("%v\n%s", err, all.String())
	}
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Name == configFlag || !configurable(flag.Name) {
			return
		}
		want := defaults.Lookup(flag.Name).Value.String()
		if flag.Changed || flag.Value.String() != want {
			t.Errorf("--%s was changed to %s", flag.Name, flag.Value)
		}
		if now := g.Lookup(flag.Name); !now.Changed || now.Value.String() != want {
			t.Errorf("--%s: %s in force (set: %v), want %s", flag.Name, now.Value, now.Changed, want)
		}
	})
}
