package hooks

import (
	"errors"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/internal/flagrights"
)

var systemFlags = [...]struct {
	flag mailaccess.SystemFlags
	word string
}{
	{mailaccess.FlagSeen, Seen},
	{mailaccess.FlagAnswered, Answered},
	{mailaccess.FlagFlagged, Flagged},
	{mailaccess.FlagDeleted, Deleted},
	{mailaccess.FlagDraft, Draft},
}

// systemFlag returns the flag of that name, or 0.
func systemFlag(word string) mailaccess.SystemFlags {
	for _, f := range systemFlags {
		if word == f.word || strings.EqualFold(word, f.word) {
			return f.flag
		}
	}
	return 0
}

// flagParser makes flags of words. It remembers sets of keywords: messages mostly
// share a few.
type flagParser struct {
	sets map[string]mailaccess.Keywords
	key  []byte
}

// parse returns the flags that words name. What cannot be a flag is left out, and
// so are keywords over the limit for one message.
func (p *flagParser) parse(words []string) (f mailaccess.Flags) {
	p.key = p.key[:0]
	for _, w := range words {
		if s := systemFlag(w); s != 0 {
			f.System |= s
			continue
		}
		if len(p.key) > 0 {
			p.key = append(p.key, ' ')
		}
		p.key = append(p.key, w...)
	}
	if len(p.key) == 0 {
		return f
	}
	k, known := p.sets[string(p.key)]
	if !known {
		var fit []string
		for _, w := range words {
			if systemFlag(w) == 0 && mailaccess.CheckKeyword(w) == nil && len(fit) < mailaccess.MaxKeywords {
				fit = append(fit, w)
			}
		}
		k, _ = mailaccess.NewKeywords(fit...)
		if p.sets == nil || len(p.sets) >= 1000 {
			p.sets = make(map[string]mailaccess.Keywords)
		}
		p.sets[string(p.key)] = k
	}
	f.Keywords = k
	return f
}

// words returns f as the application gets it.
func words(f mailaccess.Flags) []string {
	var all []string
	for _, s := range systemFlags {
		if f.System.Has(s.flag) {
			all = append(all, s.word)
		}
	}
	return slices.AppendSeq(all, f.Keywords.All())
}

// keptFlags reads Options.Flags.
func keptFlags(list []string) (system mailaccess.SystemFlags, anyWord bool, only mailaccess.Keywords, err error) {
	if list == nil {
		return mailaccess.SystemFlagsAll, true, only, nil
	}
	var named []string
	for _, w := range list {
		switch s := systemFlag(w); {
		case s != 0:
			system |= s
		case w == "*":
			anyWord = true
		case mailaccess.CheckKeyword(w) != nil:
			return 0, false, only, fail("new store", mailaccess.KindInvalid, "", errors.New("Options.Flags has what is no flag"))
		default:
			named = append(named, w)
		}
	}
	only, err = mailaccess.NewKeywords(named...)
	return system, anyWord, only, err
}

// kept returns those of f that the application keeps.
func (ab *abilities) kept(f mailaccess.Flags) mailaccess.Flags {
	f.System &= ab.system
	if !ab.words {
		f.Keywords = f.Keywords.Minus(f.Keywords.Minus(ab.only))
	}
	return f
}

// apply returns old after that part of c that may be done and that is kept.
func (h *handle) apply(r flagrights.Flags, c mailaccess.FlagChange, old mailaccess.Flags) mailaccess.Flags {
	ab := &h.store.abilities
	f := c.Apply(old)
	system := r.System & ab.system
	f.System = f.System&system | old.System&^system
	switch {
	case !r.Keywords:
		f.Keywords = old.Keywords
	case !ab.words:
		// Those that are not kept stay as they are.
		stay := old.Keywords.Minus(ab.only)
		f.Keywords = stay.Union(f.Keywords.Minus(f.Keywords.Minus(ab.only)))
	}
	return f
}
