package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// modulePath is this module's.
const modulePath = "github.com/hashmail/mailaccess"

// skeletons are the files that new-store and new-protocol write, as templates.
//
//go:embed skeleton
var skeletons embed.FS

// skeleton is a package to be written.
type skeleton struct {
	kind   string // the directory of its templates
	module string // flags
	local  string
}

func (s *skeleton) register(f *pflag.FlagSet) {
	f.StringVar(&s.module, "module", "", "`path` of the new module; empty: the name of the directory")
	f.StringVar(&s.local, "replace", "", "`directory` of a checkout of mailaccess to build with; empty: the released one")
}

// skeletonData is what the templates know.
type skeletonData struct {
	Package, Module, Go, Version, Replace string
}

func (s *skeleton) run(cmd *cobra.Command, dir string) error {
	full, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	name := filepath.Base(full)
	if !token.IsIdentifier(name) || name != strings.ToLower(name) || name == "main" || strings.HasSuffix(name, "_test") {
		return fmt.Errorf("%s: %q is not the name of a package: lower-case letters and digits", dir, name)
	}
	data := skeletonData{Package: name, Module: s.module, Go: "1.25.0", Version: "v0.0.0", Replace: s.local}
	if data.Module == "" {
		data.Module = name
	}
	released := false
	// Only what was installed from a module proxy, or by go install, has a sum.
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path == modulePath && info.Main.Sum != "" {
		data.Version, released = info.Main.Version, true
	}
	if s.local != "" {
		if data.Replace, err = filepath.Abs(s.local); err != nil {
			return err
		}
		if !isCheckout(data.Replace) {
			return fmt.Errorf("--replace %s: not a checkout of %s", s.local, modulePath)
		}
		if quoted(data.Replace) != data.Replace {
			data.Replace = strconv.Quote(data.Replace)
		}
	}
	inside := moduleAround(filepath.Dir(full))
	if inside != "" && (s.module != "" || s.local != "") {
		return fmt.Errorf("%s lies in the module of %s: --module and --replace are for one of its own", dir, filepath.Join(inside, "go.mod"))
	}
	files, err := s.files(data, inside == "")
	if err != nil {
		return err
	}
	if err := writeNew(full, files); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "Wrote package %s. It compiles, and its tests say what is to be written:\n\n    cd %s\n", name, quoted(dir))
	if !released && s.local == "" && (inside == "" || !isCheckout(inside)) {
		fmt.Fprintf(out, "    go mod edit -replace %s=%s\n", modulePath, quoted(checkoutHere()))
	}
	fmt.Fprint(out, "    go mod tidy\n    go test .\n")
	return nil
}

// files are the files of the skeleton, by name.
func (s *skeleton) files(data skeletonData, withModule bool) (map[string][]byte, error) {
	files := make(map[string][]byte)
	for _, root := range []string{"skeleton/both", path.Join("skeleton", s.kind)} {
		err := fs.WalkDir(skeletons, root, func(file string, d fs.DirEntry, err error) error {
			name := strings.TrimSuffix(strings.TrimPrefix(file, root+"/"), ".tmpl")
			if err != nil || d.IsDir() || name == "go.mod" && !withModule {
				return err
			}
			text, err := skeletons.ReadFile(file)
			if err != nil {
				return err
			}
			// The delimiters are not those of transcripts.
			t, err := template.New(file).Delims("<<", ">>").Parse(string(text))
			if err != nil {
				return err
			}
			var b bytes.Buffer
			err = t.Execute(&b, data)
			files[name] = b.Bytes()
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// writeNew writes files into a directory that does not exist, or is empty: all or none.
func writeNew(dir string, files map[string][]byte) (err error) {
	var made []string
	defer func() {
		if err != nil {
			for _, path := range slices.Backward(made) {
				err = errors.Join(err, os.Remove(path))
			}
		}
	}()
	mkdir := func(path string) error {
		err := os.Mkdir(path, 0o777)
		if err == nil {
			made = append(made, path)
		} else if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	if err := mkdir(dir); err != nil {
		return err
	}
	there, err := os.Open(dir)
	if err != nil {
		return err
	}
	_, err = there.Readdirnames(1)
	if there.Close(); err == nil { //nolint:errcheck // it was only read
		return fmt.Errorf("%s: there is something in it already", dir)
	} else if err != io.EOF {
		return err
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := mkdir(filepath.Dir(path)); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return err
		}
		made = append(made, path)
		_, err = f.Write(text)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// moduleAround returns the directory of the module that dir lies in; empty: it lies in none.
func moduleAround(dir string) string {
	for {
		if info, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil && info.Mode().IsRegular() {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// isCheckout reports whether this module is in dir.
func isCheckout(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && regexp.MustCompile(`(?m)^module `+regexp.QuoteMeta(modulePath)+`\s*$`).Match(text)
}

// checkoutHere returns the checkout that the present directory lies in, or words for it.
func checkoutHere() string {
	if here, err := os.Getwd(); err == nil {
		if dir := moduleAround(here); dir != "" && isCheckout(dir) {
			return dir
		}
	}
	return "DIRECTORY-OF-MAILACCESS"
}

// quoted is a name as it can stand in a command.
func quoted(name string) string {
	if regexp.MustCompile(`^[\w./:@~+=-]+$`).MatchString(name) {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
