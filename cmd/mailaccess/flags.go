package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// addresses are where to listen, one for each kind of listener; empty: not at
// all.
type addresses struct {
	imap, imaps, pop3, pop3s string
}

// register adds the four flags. What the fields hold are the defaults.
func (a *addresses) register(f *pflag.FlagSet) {
	f.StringVar(&a.imap, "imap", a.imap, "`address` for IMAP with STARTTLS; empty: none")
	f.StringVar(&a.imaps, "imaps", a.imaps, "`address` for IMAP over TLS; empty: none")
	f.StringVar(&a.pop3, "pop3", a.pop3, "`address` for POP3 with STLS; empty: none")
	f.StringVar(&a.pop3s, "pop3s", a.pop3s, "`address` for POP3 over TLS; empty: none")
}

// portsFromEnvironment takes the port from a variable for each address whose flag was
// not set. An empty variable counts as none.
func portsFromEnvironment(f *pflag.FlagSet, getenv func(string) string) error {
	for _, name := range [...]string{"imap", "imaps", "pop3", "pop3s"} {
		variable := strings.ToUpper(name) + "_PORT"
		port := getenv(variable)
		if port == "" || f.Changed(name) {
			continue
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("%s=%q: not a port from 0 to 65535", variable, port)
		}
		if err := f.Set(name, ":"+port); err != nil {
			return err
		}
	}
	return nil
}

// logging are the flags that say what is logged and how.
type logging struct {
	level  string
	format string
}

func (l *logging) register(f *pflag.FlagSet) {
	f.StringVar(&l.level, "log-level", l.level, "least `level` that is logged: debug, info, warn or error")
	f.StringVar(&l.format, "log-format", l.format, "`format` of the log on standard error: json or console")
}

// logger makes the logger. It is unbuffered: there is nothing to flush.
func (l *logging) logger(w io.Writer) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(l.level)
	if err != nil || level > zapcore.ErrorLevel {
		return nil, fmt.Errorf("--log-level %q: not debug, info, warn or error", l.level)
	}
	config := zap.NewProductionEncoderConfig()
	config.TimeKey = "time"
	config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	config.EncodeDuration = zapcore.StringDurationEncoder
	var encoder zapcore.Encoder
	switch l.format {
	case "json":
		encoder = zapcore.NewJSONEncoder(config)
	case "console":
		config.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(config)
	default:
		return nil, fmt.Errorf("--log-format %q: not json or console", l.format)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(plainWriter{w})), level)), nil
}

// exactly demands one argument for each name, and no others.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return fmt.Errorf("no %s given (see %s --help)", names[len(args)], cmd.CommandPath())
		}
		if len(args) > len(names) {
			return fmt.Errorf("unexpected argument %q (see %s --help)", args[len(names)], cmd.CommandPath())
		}
		return nil
	}
}
