from benchmark.deadlines.load.single_server import Job, served


def test_jobs_run_one_after_the_other():
    jobs = [Job('a', 0.0, 2.0, 10.0), Job('b', 1.0, 3.0, 10.0)]
    assert served(jobs, by_deadline=False, may_be_late=False) == {'a': 2.0, 'b': 5.0}


def test_the_server_waits_for_what_comes_later():
    assert served([Job('a', 5.0, 1.0, 9.0)], False, False) == {'a': 6.0}


def test_the_order_decides_who_is_lost():
    jobs = [Job('runs', 0, 2, 9), Job('patient', 1, 3, 9), Job('urgent', 1.5, 2, 4)]
    assert set(served(jobs, by_deadline=True, may_be_late=False)) == {'runs', 'patient', 'urgent'}
    assert set(served(jobs, by_deadline=False, may_be_late=False)) == {'runs', 'patient'}


def test_what_is_late_is_stopped_at_its_last_moment():
    jobs = [Job('late', 0.0, 5.0, 2.0), Job('next', 0.0, 1.0, 3.5)]
    assert served(jobs, by_deadline=True, may_be_late=False) == {'next': 3.0}


def test_what_may_be_late_takes_with_it_what_waits_or_comes_meanwhile():
    jobs = [
        Job('late', 0.0, 5.0, 2.0),
        Job('waits', 0.0, 1.0, 9.0),
        Job('comes', 4.0, 1.0, 9.0),
        Job('after', 5.0, 1.0, 9.0),
    ]
    assert served(jobs, by_deadline=True, may_be_late=True) == {'after': 6.0}


def test_what_waits_beyond_its_last_moment_takes_no_time():
    jobs = [Job('first', 0, 4, 9), Job('gone', 0.5, 1, 3), Job('last', 1, 1, 9)]
    assert served(jobs, by_deadline=False, may_be_late=False) == {'first': 4.0, 'last': 5.0}
