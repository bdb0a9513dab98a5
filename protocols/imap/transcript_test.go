package imap_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTranscripts converses as the RFCs say, over each store.
func TestTranscripts(t *testing.T) {
	stores := []struct {
		name string
		make func(testing.TB) testStore
	}{
		{"memory", func(testing.TB) testStore { return inMemory(memory.New(nil)) }},
		{"hostile", func(testing.TB) testStore { return hostile(memory.New(nil)) }},
		{"hooks", hooked},
		{"maildir", filed},
	}
	fsys := os.DirFS("testdata")
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) {
			opts := transcriptOptions()
			// The store over hooks forgets history by itself only, when there
			// is much of it, and does not thread.
			opts.Has = func(need string) bool { return (need == "floor" || need == "threads") && s.name != "hooks" }
			prototest.Run(t, fsys, func(t testing.TB, fx prototest.Fixture) prototest.Server {
				return startServer(t, fx, s.make(t))
			}, opts)
		})
	}
}

// transcriptOptions are how a transcript logs in and out.
func transcriptOptions() *prototest.Options {
	return &prototest.Options{
		Literals: true,
		Parallel: true,
		Login: func(u prototest.User) string {
			return "S: * OK [CAPABILITY {{.*}}\n" +
				"C: login LOGIN \"" + u.Name + "\" \"" + u.Password + "\"\n" +
				"S: login OK [CAPABILITY {{.*}}"
		},
		Bye: "C: bye LOGOUT\nS: * BYE {{.*}}\nS: bye OK {{.*}}\nS: <eof>",
	}
}
