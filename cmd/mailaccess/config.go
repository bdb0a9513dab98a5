package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	gotoml "github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// What a flag of serve sets, a variable of the environment and a line of the file that
// --config names set too, by one rule: the variable of --tls-cert is MAILACCESS_TLS_CERT,
// the line is tls-cert = "...". A flag counts before the variable, the variable before the
// file. (IMAP_PORT and the like come between the last two.) All are read by the flag, so that what it refuses is refused everywhere.

const (
	configFlag     = "config"
	variablePrefix = "MAILACCESS_"
)

// settings are values from one place besides the command line.
type settings struct {
	values *koanf.Koanf
	name   func(flag string) string // what errors call the one of a flag
}

func newSettings() settings { return settings{values: koanf.New("\x00")} }

// configure sets those flags that the command line does not, from the environment and the
// file. The returned names are variables that look like settings and are none: whoever
// starts the program may have variables of that prefix for reasons of its own.
func configure(f *pflag.FlagSet) (strangers []string, err error) {
	environment, strangers, err := environmentSettings(f)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(environment.apply(f), portsFromEnvironment(f, os.Getenv)); err != nil {
		return nil, err
	}
	path := f.Lookup(configFlag).Value.String()
	if path == "" {
		return strangers, nil
	}
	file, err := fileSettings(f, path)
	if err != nil {
		return nil, err
	}
	return strangers, file.apply(f)
}

// registerConfig adds the flag by which another command takes what it shares with serve from
// serve's file: see configureAsServe.
func registerConfig(f *pflag.FlagSet) {
	f.String(configFlag, "", "`file` of settings of mailaccess serve, for what is not given here")
}

// configureAsServe sets those flags of another command that the command line does not and
// serve knows too, as store and users, from where serve takes them.
func configureAsServe(f *pflag.FlagSet) error {
	serve := newServeCommand().Flags()
	if err := serve.Set(configFlag, f.Lookup(configFlag).Value.String()); err != nil {
		return err
	}
	serve.Lookup(configFlag).Changed = f.Changed(configFlag)
	if _, err := configure(serve); err != nil {
		return err
	}
	var failed error
	f.VisitAll(func(flag *pflag.Flag) {
		if own := serve.Lookup(flag.Name); own != nil && own.Changed && !flag.Changed && flag.Name != configFlag && configurable(flag.Name) {
			failed = errors.Join(failed, f.Set(flag.Name, own.Value.String()))
		}
	})
	return failed
}

// configurable reports whether a flag can be set from elsewhere.
func configurable(name string) bool { return name != "help" }

func environmentSettings(f *pflag.FlagSet) (s settings, strangers []string, err error) {
	s = newSettings()
	s.name = variableOf
	err = s.values.Load(env.Provider("\x00", env.Opt{Prefix: variablePrefix, TransformFunc: func(variable, value string) (string, any) {
		name := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, variablePrefix), "_", "-"))
		if variableOf(name) == variable && configurable(name) && f.Lookup(name) != nil {
			return name, value
		}
		strangers = append(strangers, variable)
		return "", nil
	}}), nil)
	return s, strangers, err
}

// variableOf is the variable of a flag.
func variableOf(flag string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fileSettings reads a file of settings, which are all known.
func fileSettings(f *pflag.FlagSet, path string) (settings, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return settings{}, fmt.Errorf("configuration: %w", err)
	}
	s := newSettings()
	if err := s.values.Load(rawbytes.Provider(text), toml.Parser()); err != nil {
		var at *gotoml.DecodeError
		if errors.As(err, &at) {
			row, _ := at.Position()
			return settings{}, fmt.Errorf("%s, line %d: %w", path, row, err)
		}
		return settings{}, fmt.Errorf("%s: %w", path, err)
	}
	s.name = func(key string) string {
		// Where the key stands in a way that is not looked for, the line is left out.
		at := regexp.MustCompile(`(?m)^[ \t]*["'\[]?` + regexp.QuoteMeta(key) + `["'\]]?[ \t]*(=|$|#)`).FindIndex(text)
		if at == nil {
			return path + ": " + key
		}
		return fmt.Sprintf("%s, line %d: %s", path, 1+bytes.Count(text[:at[0]], []byte("\n")), key)
	}
	// A table, which has no meaning here, is unknown by its own name.
	for _, key := range s.values.Keys() {
		key, _, table := strings.Cut(key, "\x00")
		switch {
		case table:
			return settings{}, fmt.Errorf("%s: settings are not in tables", s.name(key))
		case !configurable(key) || key == configFlag || f.Lookup(key) == nil:
			return settings{}, fmt.Errorf("%s: no such setting%s", s.name(key), meant(f, key))
		}
	}
	return s, nil
}

// apply sets the flags that were not set.
func (s settings) apply(f *pflag.FlagSet) error {
	var failed error
	f.VisitAll(func(flag *pflag.Flag) {
		if failed != nil || flag.Changed || !s.values.Exists(flag.Name) {
			return
		}
		if err := set(f, flag, s.values.Get(flag.Name)); err != nil {
			failed = fmt.Errorf("%s: %w", s.name(flag.Name), err)
		}
	})
	return failed
}

// set gives a flag a value as the file has it.
func set(f *pflag.FlagSet, flag *pflag.Flag, value any) error {
	text, err := scalar(value)
	if list, ok := value.([]any); ok {
		var texts []string
		for _, v := range list {
			if text, err = scalar(v); err != nil {
				return err
			}
			texts = append(texts, text)
		}
		many, ok := flag.Value.(pflag.SliceValue)
		if !ok {
			return errors.New("a list, where one value goes")
		}
		flag.Changed = true
		return many.Replace(texts)
	}
	if err != nil {
		return err
	}
	err = f.Set(flag.Name, text)
	// What the flag itself says, without its name as the command line has it.
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return fmt.Errorf("%q: %w", text, errors.Unwrap(invalid))
	}
	return err
}

func scalar(value any) (string, error) {
	switch v := value.(type) {
	case string, bool, int64, float64:
		return fmt.Sprint(v), nil
	}
	return "", errors.New("not a string, a number, a boolean or a list of them")
}

// meant names the setting that somebody may have meant.
func meant(f *pflag.FlagSet, key string) string {
	best, least := "", max(2, len(key)/3)+1
	f.VisitAll(func(flag *pflag.Flag) {
		if d := distance(key, flag.Name); configurable(flag.Name) && flag.Name != configFlag && d < least {
			best, least = flag.Name, d
		}
	})
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; %s is one", best)
}

// distance is how many octets have to be put in, taken out or changed to make one string
// of another.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, before+1, row[j]+1)
		}
	}
	return row[len(b)]
}

func newConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "Print a configuration file to start from",
		Long: `Print a configuration file for mailaccess serve --config FILE, in TOML: every setting,
with what it says and its default, commented out.`,
		Example: `  mailaccess config > /etc/mailaccess.toml`,
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(sampleConfig(newServeCommand().Flags()))
			return err
		},
	}
}

// sampleConfig is a file that changes nothing.
func sampleConfig(f *pflag.FlagSet) []byte {
	var b bytes.Buffer
	b.WriteString("# The configuration of mailaccess serve. The name of a setting is that of the flag; the\n" +
		"# variable MAILACCESS_TLS_CERT counts before tls-cert here, and the flag --tls-cert before both.\n")
	f.VisitAll(func(flag *pflag.Flag) {
		if !configurable(flag.Name) || flag.Name == configFlag {
			return
		}
		_, usage := pflag.UnquoteUsage(flag)
		fmt.Fprintf(&b, "\n# %s\n#%s = %s\n", usage, flag.Name, tomlDefault(flag))
	})
	return b.Bytes()
}

// tomlDefault is a flag's default as TOML has it.
func tomlDefault(flag *pflag.Flag) string {
	if many, ok := flag.Value.(pflag.SliceValue); ok {
		var list []string
		for _, v := range many.GetSlice() {
			list = append(list, fmt.Sprintf("%q", v))
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	if _, err := strconv.ParseInt(flag.DefValue, 10, 64); err == nil || flag.Value.Type() == "bool" {
		return flag.DefValue
	}
	return fmt.Sprintf("%q", flag.DefValue)
}
