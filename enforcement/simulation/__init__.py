"""What a plan would have done to the calls that were made: each is decided again, under two sets of terms.

The present terms are those of now, the trial's are the same with another plan or edited promises in place of the
plan in force; both go through the gates that the gatekeeper uses. What is taken for granted:

- Configuration, prices and estimates of holds are those of now, for the whole time. Days and months are the tenant's
  own at the time of each call. A gate that is only observed now refuses nothing; what it would have is counted apart.
- Each side begins with what was really used of the day and month under way at the start, with nothing held.
- What a side permits it holds from the call's start to its recorded end, and then books what was really used:
  no more output than it permitted where it reduced that. A call that ran on another model class than the recorded
  one is priced at most, by its class's dearest model; any other keeps its recorded cost.
- What a side refuses uses nothing, and nobody asks again.
- Usage that nobody asked for (facts) is booked on both sides, where it was booked.
- What was refused at the time is not in the log, and open reservations are not yet: they are left out.
"""
