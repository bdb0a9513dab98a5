package pop3_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
)

// The transcripts of testdata, over each kind of store.
func TestTranscripts(t *testing.T) {
	for _, w := range worlds() {
		t.Run(w.name, func(t *testing.T) {
			opts := transcriptOptions()
			opts.Parallel = true
			prototest.Run(t, os.DirFS("testdata"), func(t testing.TB, fx prototest.Fixture) prototest.Server {
				return w.start(t, fx)
			}, opts)
		})
	}
	for name, sizes := range map[string]bool{"hooks": true, "hooks without sizes": false} {
		t.Run(name, func(t *testing.T) {
			opts := transcriptOptions()
			opts.Has = func(need string) bool { return need == "sizes" && sizes }
			prototest.Run(t, os.DirFS("testdata"), func(t testing.TB, fx prototest.Fixture) prototest.Server {
				return newHookedWorld(t, fx, hookstest.Style{Sizes: sizes})
			}, opts)
		})
	}
}

// worlds are what the tests run over.
func worlds() []namedWorld {
	var all []namedWorld
	for _, s := range stores() {
		all = append(all, namedWorld{s.name, func(t testing.TB, fx prototest.Fixture) *world { return newWorld(t, fx, s.wrap) }})
	}
	return append(all,
		namedWorld{"maildir", func(t testing.TB, fx prototest.Fixture) *world { return newFiledWorld(t, fx, "\r\n") }},
		namedWorld{"maildir with LF", func(t testing.TB, fx prototest.Fixture) *world { return newFiledWorld(t, fx, "\n") }},
	)
}

type namedWorld struct {
	name  string
	start func(testing.TB, prototest.Fixture) *world
}

// stores are those that do without files, which a bubble can hold.
func stores() []struct {
	name string
	wrap wrap
} {
	return []struct {
		name string
		wrap wrap
	}{
		{"memory", nil},
		{"hostile", func(s mailaccess.Store) mailaccess.Store { return storetest.Hostile(s, nil) }},
	}
}

func transcriptOptions() *prototest.Options {
	return &prototest.Options{
		Login: func(u prototest.User) string {
			return fmt.Sprintf("S: +OK {{.*}}\nC: USER %s\nS: +OK {{.*}}\nC: PASS %s\nS: +OK {{.*}}\n", u.Name, u.Password)
		},
		Bye: "C: QUIT\nS: +OK {{.*}}\nS: <eof>\n",
	}
}
