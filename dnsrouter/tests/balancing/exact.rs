//! An exact solver of the transport problem, for judging: successive shortest paths (Ford and
//! Fulkerson 1962), with masses as integers. It shares nothing with what it judges.

/// Sends `supply[p]` units of each point to endpoints of `room[e]` units at `km[p][e]` each; returns
/// the least total, or `None` if there is no room.
pub(crate) fn least_total(supply: &[i64], room: &[i64], km: &[Vec<f64>]) -> Option<f64> {
    let (points, endpoints) = (supply.len(), room.len());
    let mut flow = vec![vec![0_i64; endpoints]; points];
    let mut used = vec![0_i64; endpoints];
    for p in 0..points {
        let mut left = supply[p];
        while left > 0 {
            // Shortest path from p to an endpoint with room: endpoints are nodes; to go from e to f,
            // some point that is at e is moved to f.
            let mut distance = km[p].clone();
            let mut from: Vec<Option<(usize, usize)>> = vec![None; endpoints];
            for _ in 0..endpoints {
                for e in 0..endpoints {
                    for q in (0..points).filter(|q| flow[*q][e] > 0) {
                        for f in 0..endpoints {
                            let there = distance[e] - km[q][e] + km[q][f];
                            if there < distance[f] - 1e-9 {
                                distance[f] = there;
                                from[f] = Some((e, q));
                            }
                        }
                    }
                }
            }
            let open = (0..endpoints).filter(|e| used[*e] < room[*e]);
            let end = open.min_by(|a, b| distance[*a].total_cmp(&distance[*b]))?;
            let mut amount = left.min(room[end] - used[end]);
            let mut at = end;
            while let Some((e, q)) = from[at] {
                amount = amount.min(flow[q][e]);
                at = e;
            }
            used[end] += amount;
            at = end;
            while let Some((e, q)) = from[at] {
                flow[q][at] += amount;
                flow[q][e] -= amount;
                at = e;
            }
            flow[p][at] += amount;
            left -= amount;
        }
    }
    let cost = |p: usize| (0..endpoints).map(|e| flow[p][e] as f64 * km[p][e]).sum::<f64>();
    Some((0..points).map(cost).sum())
}

#[test]
fn by_hand() {
    // Two points of 3 units; the near endpoint has room for 4. The one that loses least gives way.
    let km = vec![vec![10.0, 100.0], vec![20.0, 30.0]];
    assert_eq!(least_total(&[3, 3], &[4, 10], &km), Some(3.0 * 10.0 + 20.0 + 2.0 * 30.0));
    assert_eq!(least_total(&[3, 3], &[4, 1], &km), None);
    // A chain: the third pushes the second away, who pushes the first away.
    let km = vec![vec![0.0, 1.0, 90.0], vec![80.0, 0.0, 2.0], vec![0.0, 70.0, 95.0]];
    assert_eq!(least_total(&[1, 1, 1], &[1, 1, 1], &km), Some(3.0));
}
