package imap_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/memory"
)

// TestModels: clients of all kinds change a mailbox in turn, whatever comes to their
// mind, while other programs do too. Whoever keeps what it was told has, after a NOOP,
// what a new client finds; whoever comes back to any state that it was in has it after
// a resync (RFC 7162, section 3.2.5).
func TestModels(t *testing.T) {
	for _, over := range []struct {
		name string
		make func(testing.TB) testStore
	}{
		{"memory", func(testing.TB) testStore { return inMemory(memory.New(nil)) }},
		{"hostile", func(testing.TB) testStore { return hostile(memory.New(nil)) }},
		{"maildir", filedInMemory},
	} {
		t.Run(over.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) { model(t, rt, over.make(t)) })
		})
	}
}

// modelKinds are what clients switch on.
var modelKinds = [][]string{
	nil, {"CONDSTORE"}, {"QRESYNC"}, {"QRESYNC"}, {"IMAP4rev2"}, {"IMAP4rev2", "QRESYNC"}, {"UIDONLY"}, {"UIDONLY", "QRESYNC"},
}

type modelWorld struct {
	tb      *testing.T
	t       *rapid.T
	s       *server
	clients []*modelClient
	kinds   [][]string
	states  []modelState
	// others use the files; nil where there are none.
	others *others
	// truths counts connections that only looked.
	truths int
}

// modelState is what a client with QRESYNC keeps while it is away.
type modelState struct {
	uidValidity uint32
	highest     uint64
	flags       map[uint32]string
}

func model(tb *testing.T, t *rapid.T, store testStore) {
	fx := fuzzFixture()
	for i := range rapid.IntRange(0, 6).Draw(t, "messages") {
		fx.Messages = append(fx.Messages, prototest.Message{User: "demo", Mailbox: "INBOX", Content: prototest.Generated(i)})
	}
	w := &modelWorld{tb: tb, t: t, s: startServer(tb, fx, store)}
	if store.dir != "" {
		w.others = &others{dir: filepath.Join(store.dir, "demo")}
	}
	defer func() {
		for _, c := range w.clients {
			c.conn.Close()
		}
		if err := w.s.Close(); err != nil {
			t.Errorf("%v", err)
		}
	}()
	for i := range 3 {
		w.kinds = append(w.kinds, rapid.SampledFrom(modelKinds).Draw(t, "kind"))
		w.clients = append(w.clients, dialModel(t, w.s, string(rune('a'+i)), w.kinds[i]...))
		w.open(w.clients[i])
	}
	t.Repeat(map[string]func(*rapid.T){
		"store":    w.act(w.store),
		"store2":   w.act(w.store),
		"fetch":    w.act(w.fetch),
		"search":   w.act(w.search),
		"saved":    w.act(w.saved),
		"append":   w.act(w.append),
		"expunge":  w.act(w.expunge),
		"transfer": w.act(w.transfer),
		"pipeline": w.act(w.pipeline),
		"idle":     w.act(func(c *modelClient) { c.idle() }),
		"other": w.act(func(c *modelClient) {
			c.ok(rapid.SampledFrom([]string{"NOOP", "CHECK", "STATUS INBOX (MESSAGES)"}).Draw(w.t, "command"))
		}),
		"reselect": w.act(w.reselect),
		"know":     w.act(w.know),
		"resync":   w.resync,
		"resync2":  w.resync,
		"ghost":    w.act(w.numbers),
		"outside":  w.outside,
		"verify":   w.act(w.verify),
	})
	for _, c := range w.clients {
		c.wake()
		w.verify(c)
	}
}

// act does something with one of the clients, which does not idle then.
func (w *modelWorld) act(f func(*modelClient)) func(*rapid.T) {
	return func(t *rapid.T) {
		c := w.clients[rapid.IntRange(0, len(w.clients)-1).Draw(t, "client")]
		c.wake()
		f(c)
		if c.idling == "" {
			w.keep(c)
		}
		if c.idling == "" && rapid.Bool().Draw(t, "then verify") {
			w.verify(c)
		}
	}
}

func (w *modelWorld) open(c *modelClient) {
	c.msgs, c.hidden, c.highest = nil, 0, 0
	c.ok("SELECT INBOX")
	c.saved = nil
}

// verify compares what a client knows with what a new one finds.
func (w *modelWorld) verify(c *modelClient) {
	c.ok("NOOP")
	w.truths++
	truth := dialModel(w.t, w.s, fmt.Sprintf("truth%d-", w.truths), "CONDSTORE")
	defer truth.conn.Close()
	truth.ok("EXAMINE INBOX")
	truth.ok("UID FETCH 1:* (FLAGS MODSEQ)")
	if c.len() != len(truth.msgs) {
		c.failf("knows %d messages of %d", c.len(), len(truth.msgs))
	}
	for i, m := range c.msgs {
		at := i
		if c.uidonly {
			at = slices.IndexFunc(truth.msgs, func(m known) bool { return m.uid == c.msgs[i].uid })
			if at < 0 {
				c.failf("UID %d is not there any more", m.uid)
			}
		}
		is := truth.msgs[at]
		if m.uid != 0 && m.uid != is.uid || m.hasFlags && m.flags != is.flags || c.condstore && m.modSeq != 0 && m.modSeq != is.modSeq {
			c.failf("message %d is %+v, known as %+v", at+1, is, m)
		}
	}
}

// know learns of all messages.
func (w *modelWorld) know(c *modelClient) {
	c.ok("UID FETCH 1:* " + rapid.SampledFrom([]string{"(FLAGS)", "(FLAGS MODSEQ)"}).Draw(w.t, "items"))
	c.condstore = c.condstore || strings.Contains(c.command, "MODSEQ") // RFC 7162, section 3.1
}

// keep keeps the state of a client that knows all messages, to come back to: also
// while it was not told yet that some went.
func (w *modelWorld) keep(c *modelClient) {
	if !c.qresync || c.hidden > 0 {
		return
	}
	state := modelState{c.uidValidity, c.highest, make(map[uint32]string)}
	for _, m := range c.msgs {
		if !m.hasFlags {
			return
		}
		state.flags[m.uid] = m.flags
	}
	w.states = append(w.states, state)
}

// resync breaks a client's connection off and comes back to some state.
func (w *modelWorld) resync(t *rapid.T) {
	var able []int
	for i, c := range w.clients {
		if c.qresync {
			able = append(able, i)
		}
	}
	if len(able) == 0 || len(w.states) == 0 {
		t.Skip("nobody to resync")
	}
	i := rapid.SampledFrom(able).Draw(t, "client")
	ago := rapid.IntRange(0, 2*len(w.states)).Draw(t, "states ago") // half of the time the last
	if ago >= len(w.states) {
		ago = 0
	}
	state := w.states[len(w.states)-1-ago]
	w.clients[i].conn.Close()
	c := dialModel(w.t, w.s, w.clients[i].name+"'", w.kinds[i]...)
	w.clients[i] = c

	args := fmt.Sprintf("%d %d", state.uidValidity, state.highest)
	uids := slices.Sorted(maps.Keys(state.flags))
	if len(uids) > 0 && rapid.Bool().Draw(t, "known UIDs") {
		args += " " + setOf(uids)
		if n := len(uids); !c.uidonly && rapid.Bool().Draw(t, "known numbers") {
			at := []int{(n + 1) / 3, (n + 1) / 2, n} // ascending
			var numbers, match []uint32
			for _, k := range slices.Compact(slices.DeleteFunc(at, func(k int) bool { return k == 0 })) {
				numbers, match = append(numbers, uint32(k)), append(match, uids[k-1])
			}
			args += " (" + setOf(numbers) + " " + setOf(match) + ")"
		}
	}
	c.ok("SELECT INBOX (QRESYNC (" + args + "))")
	if c.uidValidity != state.uidValidity {
		c.failf("UIDVALIDITY was %d", state.uidValidity)
	}
	early := c.early
	if len(uids) > 0 && strings.Count(args, " ") > 1 {
		// Of others than those known it was not told (RFC 7162, section 3.2.5.1).
		c.ok(fmt.Sprintf("UID FETCH %d:* (FLAGS)", uids[len(uids)-1]+1))
	}
	flags := maps.Clone(state.flags)
	for _, uid := range early {
		delete(flags, uid)
		if c.byUID(uid) != nil {
			c.failf("UID %d has vanished and is there", uid)
		}
	}
	for _, m := range c.msgs {
		if m.uid != 0 {
			flags[m.uid] = m.flags
		}
	}
	if len(flags) != c.len() {
		c.failf("after the resync with %s: %d messages, %d are there", args, len(flags), c.len())
	}
	for n, uid := range slices.Sorted(maps.Keys(flags)) {
		m := known{uid: uid, flags: flags[uid], hasFlags: true}
		if c.uidonly {
			if have := c.byUID(uid); have == nil {
				c.msgs, c.hidden = append(c.msgs, m), c.hidden-1
			}
			continue
		}
		if told := c.msgs[n].uid; told != 0 && told != uid {
			c.failf("message %d is UID %d, by the state it is %d", n+1, told, uid)
		}
		m.modSeq = c.msgs[n].modSeq
		c.msgs[n] = m
	}
	slices.SortFunc(c.msgs, func(a, b known) int { return int(a.uid) - int(b.uid) })
	w.verify(c)
}

func setOf(numbers []uint32) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = fmt.Sprint(n)
	}
	return strings.Join(words, ",")
}

// outside is what other programs do.
func (w *modelWorld) outside(t *rapid.T) {
	if w.others != nil && rapid.Bool().Draw(t, "files") {
		w.outsideFiles(t)
		return
	}
	var err error
	switch rapid.IntRange(0, 4).Draw(t, "what") {
	case 0, 1:
		err = w.s.Deliver(w.tb, prototest.Message{User: "demo", Mailbox: "INBOX", Content: prototest.Generated(1)})
	case 2:
		n := rapid.IntRange(1, 30).Draw(t, "UID")
		err = w.s.Do(w.tb, []string{"expunge", "INBOX", fmt.Sprintf("%d:%d", n, n+rapid.IntRange(0, 3).Draw(t, "more"))})
	case 3:
		n := rapid.IntRange(1, 30).Draw(t, "UID")
		err = w.s.Do(w.tb, []string{"flags", "INBOX", fmt.Sprintf("%d:%d", n, n+5), "=", modelFlag(t)})
	case 4:
		err = w.s.Do(w.tb, []string{"floor", "INBOX"})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// outsideFiles is what they do with files of a Maildir. It is noticed when a message is that
// they deliver at last.
func (w *modelWorld) outsideFiles(t *rapid.T) {
	files, err := w.others.list()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) > 0 {
		file := rapid.SampledFrom(files).Draw(t, "file")
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0:
			err = os.Remove(filepath.Join(w.others.dir, file))
		case 1, 2:
			to := "cur/" + baseName(file) + ":2," + rapid.StringMatching(`D?F?R?S?T?a?b?`).Draw(t, "letters")
			err = os.Rename(filepath.Join(w.others.dir, file), filepath.Join(w.others.dir, to))
		}
		// Ours may have been renamed meanwhile.
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	next := w.snapshot().UIDNext
	if err := w.others.deliver("last"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if w.snapshot().UIDNext > next {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a delivery was not noticed")
		}
	}
}

func modelFlag(t *rapid.T) string {
	return rapid.SampledFrom([]string{`\Seen`, `\Flagged`, `\Deleted`, "word", "other"}).Draw(t, "flag")
}

// form chooses between message numbers and UIDs, and a set of messages.
func (w *modelWorld) form(c *modelClient) (uid, set string) {
	if c.uidonly || rapid.Bool().Draw(w.t, "by UID") || len(c.msgs) == 0 {
		from := rapid.IntRange(1, 30).Draw(w.t, "UID")
		sets := []string{fmt.Sprint(from), fmt.Sprintf("%d:%d", from, from+4)}
		if n := len(c.msgs); n > 0 && c.msgs[n-1].uid != 0 && c.hidden == 0 { // it knows what * is
			sets = append(sets, "1:*", "*", fmt.Sprintf("%d:*", from))
		}
		return "UID ", rapid.SampledFrom(sets).Draw(w.t, "set")
	}
	n := rapid.IntRange(1, len(c.msgs)).Draw(w.t, "number")
	return "", rapid.SampledFrom([]string{"1:*", "*", fmt.Sprint(n), fmt.Sprintf("1:%d", n)}).Draw(w.t, "set")
}

// named are the messages of a set that the client knows, by their place.
func (c *modelClient) named(uid, set string) map[uint32]int {
	found := make(map[uint32]int)
	if len(c.msgs) == 0 {
		return found
	}
	top := uint32(len(c.msgs))
	if uid != "" {
		top = c.msgs[len(c.msgs)-1].uid
	}
	for _, n := range c.numbers(word(strings.ReplaceAll(set, "*", fmt.Sprint(top)))) {
		for i, m := range c.msgs {
			if m.uid != 0 && (uid != "" && m.uid == n || uid == "" && i+1 == int(n)) {
				found[m.uid] = i
			}
		}
	}
	return found
}

func (w *modelWorld) store(c *modelClient) {
	uid, set := w.form(c)
	modifier := ""
	if c.condstore && rapid.Bool().Draw(w.t, "conditional") {
		modifier = fmt.Sprintf(" (UNCHANGEDSINCE %d)", rapid.Uint64Range(0, c.highest+1).Draw(w.t, "mod-sequence"))
	}
	op := rapid.SampledFrom([]string{"+", "-", ""}).Draw(w.t, "op")
	silent := rapid.SampledFrom([]string{"", ".SILENT"}).Draw(w.t, "silent")
	flag := modelFlag(w.t)
	named := c.named(uid, set)
	answer := c.do(fmt.Sprintf("%sSTORE %s%s %sFLAGS%s (%s)", uid, set, modifier, op, silent, flag))
	// RFC 5530, section 3; RFC 7162, section 3.1.3.
	if !strings.HasPrefix(answer, "OK") && !strings.Contains(answer, "[EXPUNGEISSUED]") && !strings.Contains(answer, "[MODIFIED ") {
		c.failf("STORE was answered %s", answer)
	}
	failed := make(map[uint32]bool)
	if _, rest, ok := strings.Cut(answer, "[MODIFIED "); ok {
		digits, _, _ := strings.Cut(rest, "]")
		for _, n := range c.numbers(word(digits)) {
			failed[n] = true
		}
	}
	if silent == "" {
		return
	}
	for id, place := range named {
		m := c.byUID(id)
		if m == nil || !m.hasFlags || c.flagged[id] || failed[id] && uid != "" || failed[uint32(place+1)] && uid == "" {
			continue
		}
		flags := strings.Fields(m.flags)
		switch {
		case op == "":
			flags = []string{flag}
		case op == "-":
			flags = slices.DeleteFunc(flags, func(f string) bool { return f == flag })
		case !slices.Contains(flags, flag):
			flags = append(flags, flag)
		}
		slices.Sort(flags)
		m.flags = strings.Join(flags, " ")
	}
}

func (w *modelWorld) fetch(c *modelClient) {
	uid, set := w.form(c)
	items := rapid.SampledFrom([]string{"(UID FLAGS)", "(UID FLAGS BODY[])", "(FLAGS UID RFC822.SIZE)"}).Draw(w.t, "items")
	since, modifier := uint64(0), ""
	if c.condstore && rapid.Bool().Draw(w.t, "changed since") {
		since = rapid.Uint64Range(1, c.highest+1).Draw(w.t, "mod-sequence")
		modifier = fmt.Sprintf(" (CHANGEDSINCE %d)", since)
		if c.qresync && uid != "" && rapid.Bool().Draw(w.t, "vanished") {
			modifier = fmt.Sprintf(" (CHANGEDSINCE %d VANISHED)", since)
		}
	}
	named := c.named(uid, set)
	changed := make(map[uint32]bool)
	for _, m := range c.msgs {
		changed[m.uid] = m.modSeq > since
	}
	c.do(uid + "FETCH " + set + " " + items + modifier)
	for id := range named {
		if (since == 0 || changed[id]) && c.byUID(id) != nil && !c.touched[id] && !w.gone(id) {
			c.failf("UID %d was not fetched", id)
		}
	}
	for _, id := range c.early {
		if c.byUID(id) != nil && c.byUID(id).hasFlags && !w.gone(id) {
			c.failf("UID %d has vanished and is there", id)
		}
	}
}

// gone reports whether a message is no longer there, whoever was told.
func (w *modelWorld) gone(uid uint32) bool {
	uids, err := parseUIDs(fmt.Sprint(uid))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.snapshot().UIDs.Intersect(uids).IsEmpty()
}

// snapshot is INBOX as it is.
func (w *modelWorld) snapshot() mailaccess.Snapshot {
	acct := w.s.accounts["demo"]
	box, err := acct.Lookup(w.tb.Context(), "INBOX")
	if err != nil {
		w.t.Fatal(err)
	}
	snap, err := acct.Snapshot(w.tb.Context(), box.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return snap
}

// search looks for all there is: the answer is what the client was told of.
func (w *modelWorld) search(c *modelClient) {
	uid := "UID "
	if !c.uidonly {
		uid = rapid.SampledFrom([]string{"", "UID "}).Draw(w.t, "form")
	}
	how := ""
	if c.caps["ESEARCH"] {
		how = rapid.SampledFrom([]string{"", "RETURN (ALL) ", "RETURN () "}).Draw(w.t, "return")
	}
	key := "ALL"
	if c.condstore && rapid.Bool().Draw(w.t, "MODSEQ") {
		key = "MODSEQ 1"
	}
	there := -1
	var uids []uint32
	c.onFound = func() {
		there = c.len()
		for _, m := range c.msgs {
			uids = append(uids, m.uid)
		}
	}
	c.ok(uid + "SEARCH " + how + key)
	c.onFound = nil
	// Messages that went, and were not told of, may be found or not.
	if there < 0 || len(c.found) > there {
		c.failf("%d messages found of %d", len(c.found), there)
	}
	for i, id := range uids {
		n := uint32(i + 1)
		if uid != "" {
			n = id
		}
		if id != 0 && !slices.Contains(c.found, n) && !w.gone(id) {
			c.failf("message %d, UID %d was not found", i+1, id)
		}
	}
}

// saved uses a search result that was saved (RFC 5182), or saves one.
func (w *modelWorld) saved(c *modelClient) {
	if !c.caps["SEARCHRES"] && !c.rev2 {
		return
	}
	if c.saved == nil {
		c.ok("UID SEARCH RETURN (SAVE ALL) " + rapid.SampledFrom([]string{"ALL", "UNSEEN", "KEYWORD word"}).Draw(w.t, "key"))
		c.saved = append([]uint32{0}, c.found...)
		return
	}
	c.ok("UID FETCH $ (FLAGS)")
	for _, id := range c.saved {
		if m := c.byUID(id); m != nil && !c.touched[id] && !w.gone(id) {
			c.failf("UID %d was saved and is not fetched", id)
		}
	}
}

func (w *modelWorld) append(c *modelClient) {
	command := "APPEND INBOX (" + modelFlag(w.t) + ") {1+}\r\nx"
	if c.caps["MULTIAPPEND"] && rapid.Bool().Draw(w.t, "two") {
		command += " {1+}\r\ny"
	}
	c.ok(command)
}

func (w *modelWorld) expunge(c *modelClient) {
	if rapid.Bool().Draw(w.t, "all") {
		c.ok("EXPUNGE")
		return
	}
	n := rapid.IntRange(1, 30).Draw(w.t, "UID")
	c.ok(fmt.Sprintf("UID EXPUNGE %d:%d", n, n+5))
}

func (w *modelWorld) transfer(c *modelClient) {
	uid, set := w.form(c)
	verb := rapid.SampledFrom([]string{"COPY", "MOVE"}).Draw(w.t, "verb")
	c.do(uid + verb + " " + set + " " + rapid.SampledFrom([]string{"Box", "INBOX"}).Draw(w.t, "destination"))
}

func (w *modelWorld) pipeline(c *modelClient) {
	commands := make([]string, rapid.IntRange(2, 4).Draw(w.t, "commands"))
	for i := range commands {
		commands[i] = rapid.SampledFrom([]string{
			"NOOP", "UID FETCH 1:* (FLAGS)", "UID STORE 3:9 +FLAGS (word)", "EXPUNGE", "UID SEARCH ALL", "APPEND INBOX {1+}\r\nz",
		}).Draw(w.t, "command")
	}
	c.doAll(commands)
}

// numbers says a command during which nothing may be told to have gone (RFC 3501,
// section 7.4.1).
func (w *modelWorld) numbers(c *modelClient) {
	if !c.uidonly && len(c.msgs) > 0 {
		c.do(rapid.SampledFrom([]string{"FETCH 1 (UID FLAGS)", "SEARCH 1:*", "STORE * +FLAGS (word)"}).Draw(w.t, "command"))
	}
}

// reselect leaves the mailbox and opens it again.
func (w *modelWorld) reselect(c *modelClient) {
	if rapid.Bool().Draw(w.t, "UNSELECT") {
		c.ok("UNSELECT")
	}
	w.open(c)
}
