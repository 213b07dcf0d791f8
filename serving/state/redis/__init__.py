"""The store of several machines: a database of one Redis or Valkey server, written by scripts that run there whole.

What is held of a person lies in keys `tb:p:NUMBER:TABLE` of theirs, found from the number that `tb:id:u:USER` and
`tb:id:a:VISITOR` hold. Each of these keys expires `keep_days` after the last write about them (a day sooner at most),
and the mark by which an event id is known again, `tb:e:EVENT_ID`, after `repeat_days`. The rest belongs to the store
and names nobody but in `tb:users`:

    tb:version, tb:number, tb:persons    form of the store, the newest number of a row, of a person
    tb:people                            sorted set: every person's number by their newest moment
    tb:users                             sorted set: the ids of users, in order
    tb:log, tb:exported                  stream: number of each event -> person; up to which it is in files
    tb:items, tb:items:order, ...        the log of item changes

Keys are made up inside the scripts, so that a cluster of Redis servers, which would spread them, is no store.
"""
