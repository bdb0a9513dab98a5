// Package auth verifies who is at the other end of a connection.
//
// It holds authenticators (each a [mailaccess.Authenticator]), what stands in
// front of them, and the server's side of SASL, through which every front-end
// asks them:
//
//	users, err := auth.OpenUsersFile("/etc/mailaccess/users", nil)
//	...
//	cached := auth.Cache(users, nil)
//	...
//	server, err := auth.NewServer(ctx, "PLAIN", cached, login, nil)
//	challenge, done, err := server.Next(response)
//	...
//	identity, ok := server.Identity()
//
// The parts are:
//
//   - [UsersFile] reads a file of users and password hashes, a Dovecot passwd-file
//     if need be, and follows its changes; [SetUser] writes one.
//   - [Callout] asks another server over HTTP, whatever is behind it; [JWT] and
//     [Introspection] verify bearer tokens, [Certificates] takes clients by their
//     certificates; [Combine] puts several together.
//   - [Static] knows the users of a map, for tests and demonstrations.
//   - [Cache] remembers for a short time what was verified, so that a client
//     with ten connections hashes once.
//   - [Guard] slows down and bans who guesses.
//   - [Masters] lets some act as others. [Normalized] spells names for an
//     authenticator that does not; [NormalizeUser] is where spelling is decided.
//   - [Logged] tells a logger of logins that were refused.
//   - [NewServer] runs one exchange of a SASL mechanism; [Mechanisms] names
//     those that can be offered. [Abilities] is how an authenticator says that it
//     can verify more than passwords: SCRAM, bearer tokens, client certificates.
//   - [Verify] asks about a user name and a password that came without SASL,
//     [VerifyAPOP] about a digest.
//   - Package authtest proves any authenticator in one line.
//
// # What holds everywhere
//
// A wrong password and an unknown user get the same answer after the same work.
// Hashing runs on a [Pool], so that a flood of logins waits instead of taking
// all memory. Passwords and hashes are in no error and in no log line.
//
// Errors of an authentication are [*mailaccess.Error] values:
// [mailaccess.KindAuthFailed] for credentials that are wrong in whatever way,
// [mailaccess.KindForbidden] for right ones that do not permit to act as the
// authorization identity, [mailaccess.KindUnavailable] when nothing could be
// decided: the caller's context ended, or what the authenticator asks does not
// answer.
package auth
