package bench

import (
	"runtime"
	"sync"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/corpus"
)

// expected is what servers have to answer about the corpus.
type expected struct {
	octets  int64 // of all messages
	subject int   // messages with SubjectWord in the subject
	word    int   // messages with BodyWord in the text
	unseen  int
}

func expect(c corpus.Corpus) expected {
	workers := runtime.GOMAXPROCS(0)
	parts := make([]expected, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			var buf []byte
			e := &parts[w]
			for i := w; i < c.Messages; i += workers {
				buf = c.AppendMessage(buf[:0], i)
				e.octets += int64(len(buf))
				if _, has := c.Subject(i); has {
					e.subject++
				}
				if c.HasWord(i) {
					e.word++
				}
				if !c.Flags(i).Seen {
					e.unseen++
				}
			}
		})
	}
	all.Wait()
	var e expected
	for _, p := range parts {
		e.octets += p.octets
		e.subject += p.subject
		e.word += p.word
		e.unseen += p.unseen
	}
	return e
}
