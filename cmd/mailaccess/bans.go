package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hashmail/mailaccess/mailaccess/auth"
)

// A server knows whom it keeps out or slows down for failed logins. On the admin socket
// GET /bans answers with a bansAnswer, and POST /bans/lift takes a liftRequest.

type bansAnswer struct {
	Bans   []banLine  `json:"bans"`
	Slowed []slowLine `json:"slowed"`
}

type banLine struct {
	Network  string    `json:"network"` // or address
	Failures int       `json:"failures"`
	Until    time.Time `json:"until"`
}

// A slowLine is about a network, an address or an account.
type slowLine struct {
	Network  string  `json:"network,omitempty"`
	Account  string  `json:"account,omitempty"`
	Failures int     `json:"failures"`
	Seconds  float64 `json:"seconds"` // that the next login waits
}

type liftRequest struct {
	Who string `json:"who"` // an address, a network, an account or liftAll
}

const liftAll = "all"

func (a *admin) bans(w http.ResponseWriter, _ *http.Request) {
	answer := bansAnswer{Bans: []banLine{}, Slowed: []slowLine{}}
	for _, b := range a.guard.Bans() {
		answer.Bans = append(answer.Bans, banLine{networkName(b.Prefix), b.Failures, b.Until})
	}
	for _, s := range a.guard.Slowed() {
		line := slowLine{Account: s.Account, Failures: s.Failures, Seconds: s.Delay.Seconds()}
		if s.Prefix.IsValid() {
			line.Network = networkName(s.Prefix)
		}
		answer.Slowed = append(answer.Slowed, line)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer) //nolint:errcheck // who does not wait for it does not need it
}

// networkName writes the network of one address as the address.
func networkName(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func (a *admin) lift(w http.ResponseWriter, r *http.Request) {
	var request liftRequest
	if !readRequest(w, r, &request) {
		return
	}
	if err := lift(a.guard, request.Who); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
	}
}

// lift takes from a guard what it holds against somebody.
func lift(g *auth.Guarded, who string) error {
	if who == liftAll {
		g.LiftAll()
		return nil
	}
	var network networks
	if who == "" || network.Set(who) != nil || len(network) != 1 {
		if !g.LiftAccount(who) {
			return fmt.Errorf("%s is neither an address or network that is banned or slowed down nor an account that is", who)
		}
		return nil
	}
	p := network[0]
	lifted := g.Lift(p)
	for _, b := range g.Bans() {
		if b.Prefix.Bits() < p.Bits() && b.Prefix.Contains(p.Addr()) {
			return fmt.Errorf("%s is in %s, which is banned", who, b.Prefix)
		}
	}
	if !lifted {
		return fmt.Errorf("%s is neither banned nor slowed down", who)
	}
	return nil
}

// bans are the flags of "bans" and its commands.
type bans struct {
	store, socket string
	json          bool
}

func newBansCommand() *cobra.Command {
	o := bans{store: defaultStore}
	cmd := &cobra.Command{
		Use:   "bans",
		Short: "Show who is kept out for failed logins",
		Long: `Show whom a server keeps out, or makes wait, for failed logins: addresses, networks
and accounts, which are never banned but wait. Names are those that somebody tried;
there need be no such account. An account does not wait where it was logged in to
before from the same network.

The server is asked over its admin socket, which is open to its user and to root.`,
		Example: `  mailaccess bans
  mailaccess bans --json --store maildir:/srv/mail
  mailaccess bans --config /etc/mailaccess/mailaccess.toml
  mailaccess bans lift 192.0.2.1`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.list(cmd) },
	}
	f := cmd.PersistentFlags()
	f.StringVar(&o.store, "store", o.store, "`URL` of the server's store: maildir:PATH")
	f.StringVar(&o.socket, "admin-socket", "", adminSocketUsage)
	registerConfig(f)
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	cmd.AddCommand(&cobra.Command{
		Use:   "lift ADDRESS|NETWORK|ACCOUNT|all",
		Short: "Let somebody log in again",
		Long: `End the ban of an address, or of a network with all that is inside it, or let those
who log in to an account no longer wait. Their failures are forgotten. With "all",
everybody's are.`,
		Example: `  mailaccess bans lift 192.0.2.0/24
  mailaccess bans lift ann
  mailaccess bans lift all`,
		Args: exactly("ADDRESS, NETWORK or ACCOUNT"),
		RunE: func(cmd *cobra.Command, args []string) error { return o.lift(cmd, args[0]) },
	})
	return cmd
}

func (o *bans) ask(cmd *cobra.Command, method, what string, request any) ([]byte, error) {
	if err := configureAsServe(cmd.Flags()); err != nil {
		return nil, fmt.Errorf("bans: %w", err)
	}
	path, err := adminPath(o.socket, o.store)
	if err != nil {
		return nil, fmt.Errorf("bans: %w", err)
	}
	answer, err := askAdmin(cmd.Context(), path, method, what, request)
	if err != nil {
		return nil, fmt.Errorf("bans: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("bans: the server did not finish: %w", err)
	}
	return body, nil
}

func (o *bans) list(cmd *cobra.Command) error {
	body, err := o.ask(cmd, http.MethodGet, "/bans", nil)
	if err != nil {
		return err
	}
	if o.json {
		_, err := cmd.OutOrStdout().Write(body)
		return err
	}
	var answer bansAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return errors.New("bans: the server answers what is not understood: is it of another version?")
	}
	if len(answer.Bans)+len(answer.Slowed) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "Nobody is banned or slowed down.")
		return nil
	}
	return answer.write(cmd.OutOrStdout(), time.Now())
}

// write writes the table.
func (b *bansAnswer) write(to io.Writer, now time.Time) error {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "WHO\tFAILURES\tWHAT")
	for _, l := range b.Bans {
		fmt.Fprintf(w, "%s\t%d\tbanned until %s, %v more\n", l.Network, l.Failures, l.Until.Local().Format(time.DateTime), l.Until.Sub(now).Round(time.Second))
	}
	for _, l := range b.Slowed {
		who := l.Network
		if who == "" {
			who = "account " + l.Account
		}
		fmt.Fprintf(w, "%s\t%d\teach login waits %v\n", who, l.Failures, time.Duration(l.Seconds*float64(time.Second)))
	}
	return w.Flush()
}

func (o *bans) lift(cmd *cobra.Command, who string) error {
	_, err := o.ask(cmd, http.MethodPost, "/bans/lift", liftRequest{Who: who})
	var refusal *adminRefusal
	if errors.As(err, &refusal) && refusal.status == http.StatusNotFound {
		return fmt.Errorf("bans lift: %s", refusal.text)
	}
	return err
}
