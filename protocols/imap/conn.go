package imap

import (
	"context"
	"errors"
	"io"
	"math"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
	"github.com/hashmail/mailaccess/protocols/imap/inflate"
)

// state is the state of a connection (RFC 3501, section 3), as a bit so that the
// command table can name several.
type state uint8

const (
	notAuthenticated state = 1 << iota
	authenticated
	selected

	anyState    = notAuthenticated | authenticated | selected
	loggedIn    = authenticated | selected
	logoutState = state(0)
)

// idleTimeout is how long a client may be silent: RFC 3501, section 5.4 asks for
// 30 minutes at least.
const idleTimeout = 30*time.Minute + 30*time.Second

// conn is one client's connection. It belongs to the goroutine of serve; while the
// client waits, to the goroutines that push, one at a time.
type conn struct {
	srv *Server
	nc  *protocols.Conn
	// names is how this client sees the names of mailboxes; set by login.
	names *namespace
	r     *imapwire.Reader
	w     *imapwire.Writer
	z     *compression // once COMPRESS is active

	state state
	userState

	// answer is the tagged answer to the present command, unless it fails.
	answer answer
	// broken is why nothing can be read any more.
	broken error
	// bad counts commands that made no sense: in a row, before the login in all.
	bad int
	// loginFailures counts credentials that were refused.
	loginFailures int
	// name is that of the present command, for the log.
	name []byte
	// client is what the client calls itself (RFC 2971); UNAUTHENTICATE leaves it.
	client string
	// progress is how far the present command is.
	progress progress
	// keepsNumbers: the present command names messages by number, whatever the
	// table of commands says of it.
	keepsNumbers bool
	// acted: the present command adds messages to the selected mailbox or removes
	// some, so that the client hears of that in any case. created are those added.
	acted   bool
	created mailaccess.UIDSet
	// limited is the lowest UID that the present command processes, if it may not process
	// all (RFC 9738); asked is how many messages it was to search.
	limited mailaccess.UID
	asked   int
	// set is the sequence set of the present command.
	set imapwire.NumSet
	// unread was read from the channel before it was known to be the client's plain
	// text.
	unread []byte
	// quiet is after how long of silence a Read returns ErrQuiet; 0: it waits on.
	quiet time.Duration
	// pusher tells of changes while the client waits; nil when it does not, or has not to be
	// told.
	pusher *pusher
	// idling: the client waits in IDLE.
	idling bool
}

// userState is what a login leads to. UNAUTHENTICATE ends all of it (RFC 8437,
// section 4.1): what belongs to a user has its place here, and what must be closed is
// closed in closeView or closeSession.
type userState struct {
	sess *engine.Session // once logged in
	view *engine.View    // while selected
	// boxName is the selected mailbox's name, as the client knows it.
	boxName string
	// keywordsFull is with how many keywords in use it took no new ones; 0: it takes
	// them.
	keywordsFull int
	// enabled is what ENABLE switched on (RFC 5161).
	enabled enabled
	// sync is what the client takes the selected mailbox's change number for.
	sync syncPoint
	// notify is what NOTIFY asked for; nil: it was not used (RFC 5465).
	notify *notification
	// flagsUntold is told as it was before the first change of flags in the selected
	// mailbox that the client did not want to hear of; 0: there was none.
	flagsUntold mailaccess.ModSeq
	// saved is the result of the last search that was saved, what $ stands for
	// (RFC 5182, section 2.1). What went from the mailbox is not in it.
	saved mailaccess.UIDSet
	// contexts are searches whose results the client follows.
	contexts []*searchContext
}

func newConn(s *Server, nc *protocols.Conn) *conn {
	c := &conn{srv: s, nc: nc, names: &s.names, state: notAuthenticated}
	c.w = imapwire.NewWriter(nc)
	c.r = imapwire.NewReader((*source)(c), &imapwire.ReaderOptions{
		Limits:   c.wireLimits(),
		Continue: c.continueLiteral,
		Hold:     c.reserveInput,
	})
	return c
}

// source is what the client says. It remembers how that ended, which tells an error
// of the connection from one of the store, whatever their types.
type source conn

func (s *source) Read(p []byte) (n int, err error) {
	switch {
	case s.z != nil:
		if n, err = s.z.Read(p); err == nil {
			err = s.nc.Step() // little may inflate to much
		}
	case len(s.unread) > 0:
		n = copy(p, s.unread)
		s.unread = s.unread[n:]
	default:
		n, err = s.nc.ReadWithin(p, s.quiet)
	}
	if err != nil && err != protocols.ErrQuiet {
		s.broken = err
	}
	return n, err
}

// wireLimits are the limits on commands. Before the login little is needed.
func (c *conn) wireLimits() imapwire.Limits {
	is := c.nc.Limits()
	if c.state == notAuthenticated {
		return imapwire.Limits{
			Line: int(min(is.MaxLine, 8<<10)), Literal: int(min(is.MaxString, 4<<10)), NonSync: maxNonSync, Command: int(min(is.MaxCommand, 16<<10)),
			Drain: 64 << 10, Depth: min(is.MaxDepth, 8), ListItems: min(is.MaxItems, 64), SetElements: 1,
		}
	}
	l := imapwire.Limits{
		Line: int(min(is.MaxLine, math.MaxInt32)), Literal: int(min(is.MaxString, math.MaxInt32)), Command: int(min(is.MaxCommand, math.MaxInt32)),
		Drain: is.MaxLiteral, Depth: is.MaxDepth, ListItems: is.MaxItems, SetElements: is.MaxSet,
	}
	if c.literalMinus() {
		l.NonSync = maxNonSync
	}
	return l
}

// continueLiteral asks for a literal that the client waits to send.
func (c *conn) continueLiteral() error {
	if _, err := c.w.WriteString("+ OK\r\n"); err != nil {
		return err
	}
	return c.w.Flush()
}

func (c *conn) close() {
	c.stopPushing() //nolint:errcheck // the connection ends, whatever came of it
	if c.z != nil {
		c.z.in.Close()
	}
	c.closeView()
	c.closeSession()
}

func (c *conn) closeView() {
	if c.view != nil {
		c.view.Close()
		c.view = nil
		c.flagsUntold = 0
		if c.notify != nil {
			c.notify.fetches.uids = mailaccess.UIDSet{}
		}
		c.saved, c.contexts = mailaccess.UIDSet{}, nil
		c.keep(c.saved)
	}
}

func (c *conn) closeSession() {
	c.setNotification(nil)
	if c.sess == nil {
		return
	}
	if err := c.sess.Close(); err != nil {
		c.log().Warn("closing the account", zap.Error(err))
	}
	c.sess = nil
}

func (c *conn) log() *zap.Logger { return c.nc.Logger() }

// begin is the beginning of the conversation.
func (c *conn) begin(ctx context.Context) error {
	c.nc.SetIdleTimeout(idleTimeout)
	if err := c.greet(); err != nil {
		c.close()
		return err
	}
	return c.serve(ctx)
}

// serve is the life of a connection, until the client is quiet, and from there on.
func (c *conn) serve(ctx context.Context) error {
	awaits := false
	defer func() {
		if !awaits {
			c.close()
		}
	}()
	for c.state != logoutState {
		// Answers to pipelined commands go out together, but do not wait for
		// the rest of a command that has only begun to come. While somebody pushes it
		// is that one who writes.
		if c.pusher == nil && !c.r.LineBuffered() {
			if err := c.w.Flush(); err != nil {
				return err
			}
		}
		if err := c.wait(ctx); err == protocols.ErrQuiet {
			awaits = true
			return c.nc.Await(c.serve)
		} else if err != nil {
			return c.ended(err)
		}
		err := c.next(ctx)
		c.nc.SetBusy(false)
		if err != nil {
			return c.ended(err)
		}
	}
	return c.w.Flush()
}

// next is the next command, or the end of IDLE. Its error ends the connection.
func (c *conn) next(ctx context.Context) error {
	if c.idling {
		c.nc.SetBusy(true)
		return c.endIdle(ctx)
	}
	if err := c.nc.Pace(c.w.Flush); err != nil {
		return err
	}
	if c.state == notAuthenticated {
		// A shutdown waits for nobody who is not logged in.
		c.nc.CommandBegins()
	} else {
		c.nc.SetBusy(true)
	}
	// Many small commands are long work too.
	if err := c.nc.Step(); err != nil {
		return err
	}
	return c.command(ctx)
}

// wait waits until the client says something, and tells meanwhile of changes: all in IDLE, between
// commands what NOTIFY asked for. ErrQuiet says that it will take a while.
func (c *conn) wait(ctx context.Context) error {
	if c.pusher == nil {
		switch {
		case c.idling:
			c.startPushing(ctx, changeTeller{c: c})
		case c.notify.pushes():
			c.startPushing(ctx, changeTeller{c, c.notify.delayed()})
		}
	}
	err := c.listen()
	if err == protocols.ErrQuiet {
		return err
	}
	return errorsFirst(c.stopPushing(), err)
}

// awaitAfter is how long a client must be silent to be taken for quiet.
const awaitAfter = time.Second

// listen waits until the client says something, or is quiet, as it is in IDLE from the beginning, unless
// the decompressor may have something left.
func (c *conn) listen() error {
	if c.idling && c.z == nil && c.r.Buffered() == 0 && len(c.unread) == 0 && c.nc.CanAwait() {
		return protocols.ErrQuiet
	}
	c.quiet = awaitAfter
	err := c.r.Wait()
	c.quiet = 0
	return err
}

// greet says hello, with the capabilities, which saves the client a round trip
// (RFC 3501, section 7.1).
func (c *conn) greet() error {
	b := append(c.w.Begin(), "* OK ["...)
	b = c.appendCapabilities(b)
	b = append(b, "] mailaccess ready\r\n"...)
	return c.w.End(b)
}

// ended says goodbye where somebody is left to hear it, and returns how the
// conversation ended.
func (c *conn) ended(err error) error {
	var reason string
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, protocols.ErrShutdown):
		reason, err = "* BYE [UNAVAILABLE] server shutting down\r\n", nil
	case errors.Is(err, protocols.ErrIdle):
		reason = "* BYE idle for too long\r\n"
	case errors.Is(err, protocols.ErrCommandTimeout):
		reason = "* BYE command not finished in time\r\n"
	case errors.Is(err, protocols.ErrAuthTimeout):
		reason = "* BYE not logged in in time\r\n"
	case errors.Is(err, errTooManyLogins):
		reason = "* BYE too many failed logins\r\n"
	case errors.Is(err, errTooManyBad):
		reason = "* BYE too many invalid commands\r\n"
	case errors.Is(err, errTooMuch):
		reason = "* BYE [TOOBIG] more than this server reads\r\n"
	case errors.Is(err, inflate.ErrCorrupt):
		reason = "* BYE what was sent is not compressed\r\n"
	case errors.Is(err, engine.ErrViewInvalid):
		reason = "* BYE the selected mailbox was deleted\r\n"
	default:
		return err
	}
	if _, werr := c.w.WriteString(reason); werr != nil {
		return errors.Join(err, werr)
	}
	return errors.Join(err, c.w.Flush())
}

var (
	errTooManyBad = errors.New("imap: too many invalid commands")
	errTooMuch    = errors.New("imap: a command is larger than will be read")
)

// command reads one command, does it and answers. Its error ends the connection.
func (c *conn) command(ctx context.Context) error {
	defer c.forget()
	cmd, run, err := c.parse()
	if err == nil {
		c.nc.SetBusy(true)
		err = run(ctx, c)
		if errors.Is(err, errAnswered) {
			return c.skip() // no command is in progress any more
		}
		if c.idling {
			return nil // it goes on in endIdle
		}
		if uerr := c.tellAfter(ctx, cmd.keepsNumbers || c.keepsNumbers, err); uerr != nil {
			return uerr
		}
	}
	return c.conclude(err)
}

// tellAfter tells what changed, whatever came of a command: it was in progress, so the client may be
// told.
func (c *conn) tellAfter(ctx context.Context, keepsNumbers bool, err error) error {
	if uerr := c.update(ctx, keepsNumbers); uerr != nil {
		return uerr
	}
	if err == nil {
		if lerr := c.tellLimit(); lerr != nil {
			return lerr
		}
	}
	return c.settle(err == nil)
}

// conclude answers a command of which err came, and reads to its end.
func (c *conn) conclude(err error) error {
	if c.w.Err() != nil {
		return c.w.Err()
	}
	if err := c.respond(err); err != nil {
		return err
	}
	return c.skip()
}

// forget gives up what a command needed, so that a connection that waits costs
// little; a set of usual size serves the next command too.
func (c *conn) forget() {
	c.answer, c.keepsNumbers = answer{}, false
	c.acted, c.created = false, mailaccess.UIDSet{}
	c.limited, c.asked = 0, 0
	c.nc.Release()
	if cap(c.set.Ranges) > maxKeptRanges {
		c.set.Ranges = nil
	}
}

const maxKeptRanges = 32

// parse reads a command to its end.
func (c *conn) parse() (command, action, error) {
	c.r.SetUTF8(c.utf8())
	_, name, err := c.r.Command()
	if err != nil {
		return command{}, nil, err
	}
	cmd, known := commands[string(name)]
	if c.name = c.name[:0]; known {
		c.name = append(c.name, name...)
	}
	switch {
	case !known:
		return cmd, nil, bad("unknown command")
	case cmd.in&c.state == 0:
		return cmd, nil, bad(wrongState(string(name), cmd.in))
	}
	if cmd.numbers && c.has(enabledUIDOnly) {
		return cmd, nil, errUIDRequired // RFC 9586, sections 3.2 and 3.8
	}
	run, err := cmd.parse(c)
	return cmd, run, err
}

// wrongState says in which state a command would be possible.
func wrongState(name string, in state) string {
	switch {
	case in&notAuthenticated != 0:
		return name + " is only possible before the login"
	case in&authenticated != 0:
		return name + " needs a login first"
	}
	return name + " needs a selected mailbox"
}

// skip brings the connection in step after a command that was not read to its
// end.
func (c *conn) skip() error {
	err := c.r.Skip()
	if err == nil {
		return nil // without the allocation below
	}
	if limit := (*imapwire.LimitError)(nil); errors.As(err, &limit) {
		return errTooMuch
	}
	return err
}

// login takes over a session that was opened, or returns why not.
func (c *conn) login(ctx context.Context, id mailaccess.Identity) error {
	if err := c.nc.SetUser(id.User); err != nil {
		if errors.Is(err, protocols.ErrTooManyConnections) {
			return no(goimap.ResponseCodeLimit, "too many connections of this user")
		}
		return err
	}
	sess, err := c.srv.opts.Engine.Open(ctx, id)
	if err != nil {
		if mailaccess.KindOf(err) == mailaccess.KindNotFound {
			// Who it is was right: that there is no mail is for others to mend.
			c.log().Error("no such account", zap.Error(err))
			err = no(goimap.ResponseCodeContactAdmin, "there is no account for this user")
		}
		return errors.Join(err, c.nc.SetUser(""))
	}
	if c.names, err = c.srv.namesOf(ctx, id.Account); err != nil {
		return errors.Join(err, sess.Close(), c.nc.SetUser(""))
	}
	sess.SetStep(c.nc.Step)
	sess.SetRest(c.nc.Rest)
	c.sess, c.state = sess, authenticated
	c.r.SetLimits(c.wireLimits())
	return nil
}
