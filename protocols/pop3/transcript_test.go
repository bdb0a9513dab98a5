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
	for _, s := range stores() {
		t.Run(s.name, func(t *testing.T) {
			prototest.Run(t, os.DirFS("testdata"), func(t testing.TB, fx prototest.Fixture) prototest.Server {
				return newWorld(t, fx, s.wrap)
			}, transcriptOptions())
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

// stores are what the tests run over.
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
