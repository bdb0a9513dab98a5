package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
)

// server is NNTP for reading; it is a [protocols.Protocol].
type server struct{ engine *engine.Engine }

func (*server) Name() string { return "nntp" }

// Refuse turns a client away (RFC 3977, section 5.1).
func (*server) Refuse(reason string) []byte { return []byte("400 " + reason + "\r\n") }

// Serve converses with one client.
func (s *server) Serve(ctx context.Context, nc *protocols.Conn) error {
	c := &conn{Conn: nc, engine: s.engine, out: bufio.NewWriter(nc)}
	defer c.logout()
	in := bufio.NewReaderSize(nc, 512) // the longest line (RFC 3977, section 3.1)
	err := c.say("201 for reading")
	for err == nil && !c.quit {
		if err = c.out.Flush(); err != nil {
			break
		}
		var line []byte
		if line, err = in.ReadSlice('\n'); err == nil {
			err = c.run(ctx, strings.Fields(string(line)))
		} else if errors.Is(err, bufio.ErrBufferFull) || errors.Is(err, protocols.ErrShutdown) || errors.Is(err, protocols.ErrIdle) || errors.Is(err, protocols.ErrAuthTimeout) {
			c.say("400 good-bye") //nolint:errcheck // Flush tells
			break
		}
	}
	return errors.Join(err, c.out.Flush())
}

// A conn is one client, with its present group and article.
type conn struct {
	*protocols.Conn
	engine  *engine.Engine
	out     *bufio.Writer
	user    string
	refused int             // logins
	sess    *engine.Session // nil: not logged in
	group   *engine.View    // nil: none is selected
	article mailaccess.UID  // 0: none
	quit    bool
}

// say adds a line to what the client is told.
func (c *conn) say(format string, a ...any) error {
	_, err := fmt.Fprintf(c.out, format+"\r\n", a...)
	return err
}

// run executes a command. Its error ends the conversation.
func (c *conn) run(ctx context.Context, words []string) error {
	words = append(words, "", "", "")
	verb, arg := strings.ToUpper(words[0]), words[1]
	switch verb {
	case "CAPABILITIES": // RFC 3977, section 5.2
		return c.say("101 capabilities\r\nVERSION 2\r\nREADER\r\nLIST ACTIVE\r\nAUTHINFO USER\r\n.")
	case "MODE": // section 5.3
		return c.say("201 for reading")
	case "QUIT": // section 5.4
		c.quit = true
		return c.say("205 good-bye")
	case "AUTHINFO":
		return c.authinfo(ctx, strings.ToUpper(arg), words[2])
	}
	switch {
	case c.sess == nil:
		return c.say("480 log in first") // RFC 4643, section 2.1
	case verb == "LIST":
		return c.list(ctx)
	case verb == "GROUP":
		return c.selectGroup(ctx, arg)
	case c.group == nil:
		return c.say("412 no group is selected")
	case verb == "NEXT": // RFC 3977, section 6.1.4
		for uid := range c.group.UIDs().From(c.article + 1) {
			return c.send(ctx, "STAT", uid)
		}
		return c.say("421 that was the last")
	case verb == "ARTICLE" || verb == "HEAD" || verb == "BODY" || verb == "STAT":
		if arg == "" {
			return c.send(ctx, verb, c.article)
		}
		uid, err := strconv.ParseUint(arg, 10, 32)
		if err != nil {
			return c.say("430 messages are found by number here")
		}
		return c.send(ctx, verb, mailaccess.UID(uid))
	}
	return c.say("500 what?")
}

// authinfo is RFC 4643, section 2.3.
func (c *conn) authinfo(ctx context.Context, what, value string) (err error) {
	switch {
	case c.sess != nil || !c.Private() && !c.Loopback():
		return c.say("502 not twice, and not where others can listen")
	case what == "USER":
		c.user = value
		return c.say("381 and the password?")
	case what != "PASS" || c.user == "":
		return c.say("482 USER comes first")
	}
	c.sess, err = c.engine.Login(ctx, mailaccess.Login{
		Username: c.user, Password: value, Protocol: "nntp", Remote: c.RemoteAddr().String(), Private: c.Private()})
	if err == nil {
		err = c.SetUser(c.sess.Identity().User)
	}
	if err != nil {
		c.logout()
		c.refused++
		c.quit = c.refused > 3
		return c.say("481 %s", mailaccess.KindOf(err))
	}
	return c.say("281 welcome")
}

// logout gives up what the client has open.
func (c *conn) logout() {
	if c.group != nil {
		c.group.Close()
	}
	if c.sess != nil {
		c.sess.Close() //nolint:errcheck // whoever only reads loses nothing
	}
	c.group, c.sess = nil, nil
}

// list is LIST ACTIVE (RFC 3977, section 7.6.3), where names have no spaces.
func (c *conn) list(ctx context.Context) error {
	c.say("215 groups follow") //nolint:errcheck // a writer that failed fails again
	for box, err := range c.sess.Mailboxes(ctx) {
		if err != nil {
			return err // which the client sees by the list that has no end
		}
		if s, err := c.sess.Status(ctx, box.ID); err == nil && !strings.ContainsAny(box.Name, " \t") {
			c.say("%s %d 1 n", box.Name, s.UIDNext-1) //nolint:errcheck // as above
		}
	}
	return c.say(".")
}

// selectGroup is GROUP (RFC 3977, section 6.1.1).
func (c *conn) selectGroup(ctx context.Context, name string) error {
	box, err := c.sess.Lookup(ctx, name)
	var group *engine.View
	if err == nil {
		group, err = c.sess.OpenView(ctx, box.ID, engine.ViewOptions{ReadOnly: true, Frozen: true})
	}
	if err != nil {
		return c.say("411 %s", mailaccess.KindOf(err))
	}
	if c.group != nil {
		c.group.Close()
	}
	uids := group.UIDs()
	c.group, c.article = group, uids.Min()
	return c.say("211 %d %d %d %s", uids.Len(), uids.Min(), uids.Max(), box.Name)
}

// send is ARTICLE, HEAD, BODY and STAT (RFC 3977, section 6.2). The content goes from the
// store to the client as it comes.
func (c *conn) send(ctx context.Context, verb string, uid mailaccess.UID) error {
	for m, err := range c.group.Messages(ctx, mailaccess.UIDSetOf(uid)) {
		if err != nil {
			return c.say("403 %s", mailaccess.KindOf(err))
		}
		content, err := c.sess.Content(ctx, m.EmailID)
		if err != nil {
			return c.say("423 %s", mailaccess.KindOf(err))
		}
		defer content.Close() //nolint:errcheck // it was only read
		root, err := c.sess.Structure(ctx, m.EmailID, content)
		if err != nil {
			return c.say("403 %s", mailaccess.KindOf(err))
		}
		c.article = uid
		part, code := root.Whole(), 220
		switch verb {
		case "STAT":
			return c.say("223 %d <%s@mailaccess>", uid, m.EmailID)
		case "HEAD":
			part, code = root.Header, 221
			part.Len = max(0, part.Len-2) // the empty line is not sent
		case "BODY":
			part, code = root.Body, 222
		}
		c.say("%d %d <%s@mailaccess>", code, uid, m.EmailID) //nolint:errcheck // as above
		lines := textproto.NewWriter(c.out).DotWriter()
		if _, err := content.WriteRange(lines, part.Off, part.Len); err != nil {
			return err // no answer: it would be taken for the article
		}
		return lines.Close()
	}
	return c.say("423 no article with that number")
}
