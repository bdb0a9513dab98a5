package main

import "github.com/spf13/cobra"

func newNewProtocolCommand() *cobra.Command {
	s := skeleton{kind: "protocol"}
	cmd := &cobra.Command{
		Use:   "new-protocol DIR",
		Short: "Write the skeleton of a protocol in Go",
		Long: `Write a Go package that compiles: a protocol of lines over any store, which greets, says
good-bye and keeps to its limits, and whose commands are to be written; and its tests:
conversations in testdata, and one that names each command that is not written yet.

DIR is made, or empty; its name is that of the package. When it lies in a module, the
package becomes part of that; otherwise it is a module of its own.`,
		Example: `  mailaccess new-protocol ./myprotocol
  mailaccess new-protocol ./myprotocol --module example.org/myprotocol --replace ./mailaccess`,
		Args: exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args[0]) },
	}
	s.register(cmd.Flags())
	return cmd
}
